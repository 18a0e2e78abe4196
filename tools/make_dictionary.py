"""Write `vault/dicom/dictionary.tsv` from pydicom's dictionaries.

Run by hand, and only together with a new version of the normal form: what the table says decides how elements
read, so it must not move when a library is upgraded.

    .venv/bin/python tools/make_dictionary.py > vault/dicom/dictionary.tsv
"""

from __future__ import annotations

import sys

import pydicom
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary


def main() -> None:
    """Print a comment, then `E tag VR keyword`, `R mask VR keyword` and `U uid name`, tab separated and sorted."""
    write = sys.stdout.write
    write(
        f"# DICOM data elements (PS3.6), repeating groups and UIDs, frozen from pydicom {pydicom.__version__}\n"
    )
    for tag, entry in sorted(DicomDictionary.items()):
        if entry[0] != "NONE":
            write(f"E\t{tag:08x}\t{entry[0]}\t{entry[4]}\n")
    for mask, entry in sorted(RepeatersDictionary.items()):
        write(f"R\t{mask}\t{entry[0]}\t{entry[4]}\n")
    for uid, entry in sorted(UID_dictionary.items()):
        write(f"U\t{uid}\t{entry[0]}\n")


if __name__ == "__main__":
    main()
