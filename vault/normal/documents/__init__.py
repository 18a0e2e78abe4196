"""What a document says, as lines of text: PDF, DOCX, RTF, HTML, MHT and plain text.

The parsers are large and meet whatever the network sent, so they run in a process of their own, bounded in memory,
time and output (`__main__`, asked by `reader`). One module per format yields the lines; `formats` picks it by the
first bytes, never by the file's name.

Text alone is not all that a document says: a picture replaced beside the same words is another document. So each
format also yields what it shows or carries beside its text, as digests. What is left out is how a document was
saved: time stamps, ids, compression, fonts, styles.
"""
