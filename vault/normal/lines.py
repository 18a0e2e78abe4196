"""The normal form read back: one line is one element, found by its path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from vault.dicom import dictionary

HEADER = b"normal-form "

_CREATOR = r"\{[^{}\[\]]*\}"
_TAG = r"\([0-9a-f]{4},[0-9a-fx]{4}\)"
_NAME = rf"(?:{_CREATOR})?{_TAG}|[A-Za-z][A-Za-z0-9_]*|\([a-z]+\)"
_LINE = re.compile(
    rf"(?P<path>(?:(?:{_NAME})(?:\[[^\]]*\])?\.)*(?P<last>{_NAME})(?:\[[^\]]*\])?) (?P<vr>[A-Z]{{2}}) (?P<value>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One element: `path` names it, `value` is what the normal form says of it."""

    path: str
    vr: str
    value: str

    @property
    def attribute(self) -> str:
        """The element without where it stands: `RTPlanLabel`, `(0009,1001)` or `{ACME}(0029,xx10)`."""
        match = _LINE.fullmatch(f"{self.path} {self.vr} {self.value}")
        return match["last"] if match else self.path

    @property
    def keyword(self) -> str:
        """The standard's keyword; empty for elements it does not name."""
        name = self.attribute
        return name if name[:1].isalpha() else ""

    @property
    def tag(self) -> str:
        """`(300a,00b2)`; `(0029,xx10)` for a private element; empty for what is no single element."""
        name = self.attribute
        if name[:1].isalpha():
            tag = dictionary.tags_by_keyword().get(name)
            return "" if tag is None else f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
        return name[name.rindex("(") :] if re.search(_TAG, name) else ""


def of_keywords(text: Iterable[bytes], keywords: Collection[bytes]) -> Iterator[bytes]:
    """The lines whose element may be one of `keywords`, whatever holds it: a fifth of the time of parsing them all.

    A line with a private creator or a quoted label in its path is passed on, since its spaces may mislead.
    """
    for raw in text:
        path = raw.partition(b" ")[0]
        if path.rpartition(b".")[2] in keywords or b'"' in path or b"{" in path:
            yield raw


def parse(text: Iterable[bytes]) -> Iterator[Line]:
    """Yield the elements of a normal form's lines, with or without line ends; the first line is passed over."""
    for raw in text:
        if raw.startswith(HEADER) or not raw.strip():
            continue
        line = raw.rstrip(b"\n").decode("utf-8", "surrogateescape")
        path, vr, value = line.partition(" ")[0], "", ""
        plain = line.split(" ", 2)
        if (
            len(plain) == 3
            and len(plain[1]) == 2
            and plain[1].isupper()
            and "{" not in path
            and '"' not in path
        ):
            path, vr, value = plain
        elif match := _LINE.fullmatch(line):
            path, vr, value = match["path"], match["vr"], match["value"]
        yield Line(path, vr, value)
