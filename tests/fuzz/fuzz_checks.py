"""What holds for the normal form, the header and the comparison of any bytes whatever; shared by fuzzer and tests."""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vault.compare.lines import attribute_changes
from vault.dicom import part10
from vault.dicom.header import Header, read_header
from vault.dicom.part10 import NotDicom
from vault.normal.dicom import HEADER, normal_form
from vault.normal.lines import parse
from vault.normal.output import budget

SECONDS_PER_MEGABYTE = 1.0
FLOOR = 0.1
"""Processor seconds that any input may take, however small: collections of garbage and a busy machine are in them."""

MEMORY_RATIO = 10
MEMORY_ALWAYS = 100 << 20
"""Bytes that the process may grow by: so many times the input, and this."""

COMPARED_MAXIMUM = 32 << 10
"""Bytes of two normal forms that are compared, and of one that is read back line by line."""

_UNFIT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


class Finding(AssertionError):
    """An input for which something does not hold."""


class Reading(NamedTuple):
    """What reads an input."""

    normal_form: Callable[[Path, BinaryIO], None]
    read_header: Callable[[Path], Header]
    not_dicom: type[Exception]
    """What `read_header` may raise."""

    def form(self, path: Path) -> bytes:
        """The normal form of a file."""
        out = io.BytesIO()
        self.normal_form(path, out)
        return out.getvalue()


PLAIN = Reading(normal_form, read_header, NotDicom)


class Checker:
    """Checks one input after the other in this process, and remembers the worst of them.

    `other` is asked as well, and must say the same: the fuzzer gives it a copy of the code that records coverage,
    which the code that is timed here does not.
    """

    def __init__(self, other: Reading = PLAIN) -> None:
        self._other = other
        self._descriptor = os.memfd_create("input")
        self._path = Path(f"/proc/self/fd/{self._descriptor}")
        self._previous = HEADER
        self.inputs = 0
        self.slowest = (0.0, 0)
        """Seconds, and the size of the input that took them."""
        self.slowest_rate = (0.0, 0)
        """Seconds per megabyte among inputs that are not small, and the size of the one that took most."""
        self.check(b"")  # loads what is loaded once
        self._base = resident("VmHWM")
        self.peak = 0
        """The most bytes by which the process has grown."""

    def check(self, data: bytes) -> bytes:
        """The normal form of `data`; raises Finding for whatever does not hold."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)
        form, seconds = self._timed(data)
        if self._other.form(self._path) != form:
            raise Finding("the normal form is another the second time")
        if len(form) > len(HEADER) + budget(len(data)) and len(form) > len(HEADER) + budget(plain_size(data)):
            raise Finding(f"{len(data)} bytes have a normal form of {len(form)} bytes")
        readable(form)
        self._header()
        if len(form) + len(self._previous) <= COMPARED_MAXIMUM:
            compared(self._previous, form)
            self._previous = form
        self._remember(len(data), seconds)
        return form

    def _timed(self, data: bytes) -> tuple[bytes, float]:
        """The normal form and the processor seconds it took; the best of a few where it seems slow."""
        allowed = max(FLOOR, SECONDS_PER_MEGABYTE * len(data) / 1e6)
        best = float("inf")
        for attempt in range(4):
            began = time.process_time()
            form = PLAIN.form(self._path)
            best = min(best, time.process_time() - began)
            if best <= allowed:
                return form, best
            if attempt == 0:
                allowed = max(allowed, SECONDS_PER_MEGABYTE * plain_size(data) / 1e6)
        raise Finding(f"{len(data)} bytes take {best:.2f} s, where {allowed:.2f} s are allowed")

    def _header(self) -> None:
        try:
            header = self._other.read_header(self._path)
        except self._other.not_dicom:
            return
        key = (header.key.modality, header.key.series_uid, header.key.sop_uid)
        texts = (header.patient_id, header.study_uid, *key, header.sop_class_uid, header.transfer_syntax)
        for text in texts:
            text.encode("utf-8")

    def _remember(self, size: int, seconds: float) -> None:
        self.inputs += 1
        self.slowest = max(self.slowest, (seconds, size))
        if size >= 4096:
            self.slowest_rate = max(self.slowest_rate, (seconds / (size / 1e6), size))
        if self.inputs == 1:
            return
        grown = resident("VmHWM") - self._base
        if (
            grown > MEMORY_ALWAYS + MEMORY_RATIO * size
        ):  # or did earlier inputs grow it, or what the fuzzer keeps?
            Path("/proc/self/clear_refs").write_text("5")
            before = resident("VmRSS")
            PLAIN.form(self._path)
            grown = resident("VmHWM") - before
            self._base = resident("VmRSS")
            if grown > MEMORY_ALWAYS + MEMORY_RATIO * size:
                raise Finding(f"{size} bytes take {grown >> 20} MiB of memory")
        self.peak = max(self.peak, grown)


def plain_size(data: bytes) -> int:
    """Bytes of an input as it is parsed: inflated where it is deflated."""
    try:
        syntax, offset = part10.dataset_offset(io.BytesIO(data))
    except NotDicom:
        return len(data)
    size, inflater, rest = len(data), zlib.decompressobj(-zlib.MAX_WBITS), data[offset:]
    with contextlib.suppress(zlib.error):
        while (
            syntax == part10.DEFLATED and not inflater.eof and (piece := inflater.decompress(rest, 1 << 20))
        ):
            size, rest = size + len(piece), inflater.unconsumed_tail
    return size


def readable(form: bytes) -> None:
    """A normal form is lines of text that read back as what they say; raises Finding where it is not."""
    if not form.startswith(HEADER) or not form.endswith(b"\n"):
        raise Finding("the normal form does not begin or end as one does")
    try:
        text = form.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Finding("the normal form is not UTF-8") from error
    if found := _UNFIT.search(text):
        raise Finding(f"U+{ord(found[0]):04X} stands in the normal form, which could hide or reorder a line")
    raw = form[:COMPARED_MAXIMUM].split(b"\n")[1:-1]
    for said, line in zip(raw, parse(raw), strict=True):
        if f"{line.path} {line.vr} {line.value}".encode() != said or len(line.vr) != 2:
            raise Finding(f"a line does not read back: {said[:200]!r}")
        if "{" in line.path and not (line.tag or line.attribute.startswith("(")):
            raise Finding(f"a line names no element: {said[:200]!r}")


def compared(old: bytes, new: bytes) -> None:
    """Two normal forms compare, and are the same exactly where nothing differs."""
    changes = attribute_changes(old, new)
    if bool(changes) != (old != new):
        raise Finding("two normal forms differ, and no difference is found, or the other way round")


def resident(which: str) -> int:
    """Bytes of memory of this process: `VmRSS` now, `VmHWM` at most since it began or was last told to forget."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a million times
        for line in status:
            if line.startswith(which.encode()):
                return int(line.split()[1]) << 10
    raise OSError("this system does not say how much memory a process has")
