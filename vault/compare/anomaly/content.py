"""Whether a document is still what it was called: its first bytes against its name, and how random they are.

What ransomware leaves has no form at all: no format's first bytes, no text, every byte value as often as the next.
"""

from __future__ import annotations

import math
import re
from collections import Counter

HEAD = 64 << 10
"""Bytes of a document that are looked at."""

RANDOM = 0.88
"""Share of the entropy that so many bytes can have, from which they count as random: few random ones have 0.9."""

FEWEST = 64
"""Bytes below which nothing can be said of how random they are."""

_MAGIC = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\xd0\xcf\x11\xe0", "OLE"),
    (b"{\\rtf", "RTF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"\x1f\x8b", "GZIP"),
    (b"\x00\x00\x01\x00", "ICO"),
)

_WORD = frozenset({"OLE", "ZIP", "RTF", "TEXT"})
_EXPECTED = {
    "pdf": frozenset({"PDF"}),
    "docx": frozenset({"ZIP"}),
    "xlsx": frozenset({"ZIP"}),
    "pptx": frozenset({"ZIP"}),
    "zip": frozenset({"ZIP"}),
    "doc": _WORD,  # what other programs write under this name is as often RTF or HTML
    "xls": _WORD,
    "rtf": frozenset({"RTF"}),
    "jpg": frozenset({"JPEG"}),
    "jpeg": frozenset({"JPEG"}),
    "png": frozenset({"PNG"}),
    "tif": frozenset({"TIFF"}),
    "tiff": frozenset({"TIFF"}),
    "bmp": frozenset({"BMP"}),
    "gif": frozenset({"GIF"}),
    "txt": frozenset({"TEXT"}),
    "htm": frozenset({"TEXT"}),
    "html": frozenset({"TEXT"}),
    "mht": frozenset({"TEXT"}),
    "mhtml": frozenset({"TEXT"}),
    "xml": frozenset({"TEXT"}),
    "csv": frozenset({"TEXT"}),
}
"""What a file with an extension may begin as."""

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def kind(head: bytes) -> str:
    """The format that first bytes are of: `PDF`, `TEXT` …; empty for none that is known."""
    for magic, name in _MAGIC:
        if head.startswith(magic) or (name == "PDF" and magic in head[:1024]):
            return name
    if head.lstrip().startswith(b"{\\rtf"):
        return "RTF"
    return "TEXT" if _is_text(head) else ""


def entropy(data: bytes) -> float:
    """Bits of information a byte (Shannon): 0 for one value only, 8 for all 256 equally often."""
    counts, total = Counter(data).values(), len(data)
    return -sum(count / total * math.log2(count / total) for count in counts) if total else 0.0


def is_random(head: bytes) -> bool:
    """Whether bytes have as much entropy as so few random ones can have, and are of no known format."""
    return len(head) >= FEWEST and not kind(head) and entropy(head) >= RANDOM * min(8.0, math.log2(len(head)))


def contradicts(file_name: str, head: bytes) -> bool:
    """Whether first bytes are not what the extension says. One that nobody knows says nothing."""
    extension = file_name.rpartition(".")[2].lower() if "." in file_name else ""
    expected = _EXPECTED.get(extension)
    return expected is not None and bool(head) and kind(head) not in expected


def renamed(old_name: str, new_name: str) -> bool:
    """Whether a document got another extension on top of, or in the place of, one that is known: `plan.pdf.locked`."""
    before, after = (name.rpartition(".")[2].lower() for name in (old_name, new_name))
    return before in _EXPECTED and after != before and after not in _EXPECTED


def _is_text(head: bytes) -> bool:
    """Whether bytes are text in some encoding: no control characters, or UTF-16 by its mark."""
    if not head:
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if _CONTROL.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3:  # cut within a character
            return True
        high = sum(byte >= 0x80 for byte in head)
        return high < len(head) / 3  # an 8-bit encoding has mostly letters
    return True
