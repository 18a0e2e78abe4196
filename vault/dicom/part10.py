"""Part 10 files (PS3.10 section 7): the head that the vault writes, and where a file's data set begins.

C-STORE carries a data set, not a file. The vault writes the head itself, from constants and three UIDs, so that
the same object is the same file whichever library, peer or night it came with.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

IMPLEMENTATION_CLASS_UID = "2.25.322082948002754300234529810609283346641"
IMPLEMENTATION_VERSION_NAME = "VAULT_1"
"""Both stand in every file that the vault ever wrote: changing them would change every object's hash."""

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

META_MAXIMUM = 1 << 20
"""Bytes of file meta information that are read before a file is given up."""

_WINDOW = 4096
"""Bytes in which the file meta information usually ends."""

_PREAMBLE = b"\0" * 128 + b"DICM"
_UID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_FIRST_GROUPS = (0x0002, 0x0004, 0x0008, 0x0010, 0x0018, 0x0020)


class NotDicom(ValueError):  # noqa: N818 - a fact about a file, named as the callers speak of it
    """These bytes are no DICOM file, or their header cannot be read; the message says why, without values."""


def file_head(sop_class_uid: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """What stands before an object's data set in its file: preamble, prefix and group 0002.

    The same arguments give the same bytes for ever. Raises ValueError for what no UID can be (empty, longer than
    64 characters, spaces or control characters), since the arguments come from the network.
    """
    for uid in (sop_class_uid, sop_uid, transfer_syntax):
        if not _UID.fullmatch(uid):
            raise ValueError(
                "a UID is empty, longer than 64 characters or holds spaces or control characters"
            )
    body = b"".join(
        (
            struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1",
            _short(0x0002, b"UI", sop_class_uid),
            _short(0x0003, b"UI", sop_uid),
            _short(0x0010, b"UI", transfer_syntax),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    return _PREAMBLE + struct.pack("<HH2sHI", 0x0002, 0, b"UL", 4, len(body)) + body


def _short(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def dataset_offset(file: BinaryIO) -> tuple[str, int]:
    """The transfer syntax and the offset of the data set of a file, whose position is moved.

    The file meta is walked element by element: its group length is often wrong. Files without a preamble are
    taken where they plainly begin with an element of one of the first groups. Raises NotDicom otherwise.
    """
    file.seek(0)
    head = file.read(_WINDOW)
    start = len(_PREAMBLE) if head[128:132] == b"DICM" else 0
    if start == 0 and not _begins_plainly(head):
        raise NotDicom("it has no DICM prefix and does not begin with a DICOM element")
    try:
        syntax, offset = _walk_meta(head, start)
    except NotDicom:
        if len(head) < _WINDOW:
            raise
        offset = len(head)
    if offset + 12 > len(head) == _WINDOW:  # it goes on after what was read
        head += file.read(META_MAXIMUM - _WINDOW)
        syntax, offset = _walk_meta(head, start)
    return syntax or _guess(head[offset : offset + 8]), offset


def _walk_meta(head: bytes, offset: int) -> tuple[str, int]:
    """The transfer syntax ("" if none) and where group 0002 ends."""
    syntax = ""
    while head[offset : offset + 2] == b"\x02\0":
        if offset + 12 > len(head):
            raise NotDicom("the file meta information is cut short")
        _, element, vr, length = struct.unpack_from("<HH2sH", head, offset)
        value = offset + 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", head, value)
            value += 4
        elif not vr.isalpha():  # implicit VR, against the standard, but seen
            (length,) = struct.unpack_from("<I", head, offset + 4)
        offset = value + length
        if offset > len(head):
            raise NotDicom("the file meta information is cut short or larger than 1 MiB")
        if element == 0x0010:
            syntax = head[value:offset].decode("ascii", "replace").strip("\0 ")
    return syntax, offset


def _begins_plainly(head: bytes) -> bool:
    if len(head) < 12:
        return False
    for order in "<>":
        group, element, vr = struct.unpack_from(f"{order}HH2s", head)
        (length,) = struct.unpack_from("<I", head, 4)
        if (
            group in _FIRST_GROUPS
            and element <= 0x1800
            and (vr in _KNOWN or (order == "<" and length <= 1024))
        ):
            return True
    return False


_KNOWN = _LONG | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


def _guess(first: bytes) -> str:
    """The encoding of a data set whose transfer syntax is not said."""
    if first[4:6] not in _KNOWN:
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if first[0] == 0 and first[1] else EXPLICIT_LITTLE
