"""DICOM at the level of bytes: files, headers, elements, character sets and a frozen dictionary."""
