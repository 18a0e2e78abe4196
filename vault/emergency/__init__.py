"""For the day the ROIS is gone: patients' exact bytes in a folder that a spare ROIS, and a tired person, can read.

`export` writes and proves them, `layout` decides where each file goes and what it is called, `dicomdir` writes the
index that import wizards ask for, `manifest` says what is there and how to check it.
"""
