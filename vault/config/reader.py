"""From the text of vault.toml to the typed model, or to errors that say where, what, and what is allowed."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vault.config.kinds import PASSWORD, Kind, RefusedError
from vault.config.lines import Key, key_lines, nearest_line
from vault.config.model import Config
from vault.config.section import Section
from vault.errors import ConfigError

T = TypeVar("T", bound=Section)

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_LONGEST_VALUE = 80
"""Characters of a wrong value that an error message repeats."""


def parse(text: str, path: Path) -> Config:
    """Read the text of the configuration file `path`. Raises ConfigError that lists every error in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(str(error), text, path)) from None
    reader = _Reader(path, key_lines(text))
    config = reader.section(Config, document, ())
    if config is None:
        raise ConfigError("\n".join(reader.errors))
    return config


def _syntax_error(message: str, text: str, path: Path) -> str:
    position = _POSITION.search(message)
    line = position[1] if position and position[1] else str(max(1, text.rstrip().count("\n") + 1))
    what = _POSITION.sub("", message)
    return f"{path}, line {line}: this is not TOML: {what}. Text needs quotation marks, lists need brackets."


class _Reader:
    """Walks document and model side by side and collects what is wrong."""

    def __init__(self, path: Path, lines: Mapping[Key, int]) -> None:
        self.path = path
        self.lines = lines
        self.errors: list[str] = []

    def section(self, model: type[T], table: Any, at: Key) -> T | None:
        """Read one table. Returns None when something in it is wrong; `errors` says what."""
        before = len(self.errors)
        if not isinstance(table, dict):
            self.error(at, f"{label(at)} must be a table: [{dotted(at)}]")
            return None
        hints = typing.get_type_hints(model, include_extras=True)
        fields = {
            field.encode_name: field
            for field in msgspec.structs.fields(model)
            if (*at, field.name) != ("path",)
        }
        for name in table.keys() - fields.keys():
            self.unknown((*at, name), list(fields))
        values: dict[str, Any] = {"path": self.path} if model is Config else {}
        for name, field in fields.items():
            if name in table:
                values[field.name] = self.value(hints[field.name], table[name], (*at, name))
            elif field.required:
                self.missing((*at, name), hints[field.name])
            elif (kind := kind_of(hints[field.name])) and isinstance(field.default, Path):
                values[field.name] = kind.read(str(field.default), self.path.parent)
        return model(**values) if len(self.errors) == before else None

    def value(self, hint: Any, value: Any, at: Key) -> Any:
        """Read one value, whatever it is a value of. Returns None when it is wrong."""
        kind = kind_of(hint)
        if kind is None:
            sections, array = sections_of(hint)
            if not array:
                return self.section(sections, value, at)
            if not isinstance(value, list):
                self.error(at, f"{label(at)} must be a list of tables")
                return None
            return tuple(self.section(sections, entry, (*at, number)) for number, entry in enumerate(value))
        try:
            return kind.read(value, self.path.parent)
        except RefusedError as refused:
            why = f" ({refused})" if str(refused) else ""
            self.error(at, f"{label(at)} = {shown(value)}{why}: it must be {kind.allowed}")
            return None

    def unknown(self, at: Key, known: list[str]) -> None:
        """Complain about a key or table that the model does not have."""
        (close,) = difflib.get_close_matches(str(at[-1]), known, n=1, cutoff=0.7) or [""]
        names = ", ".join(known)
        hint = f"Did you mean {close}?" if close else f"Known here: {names}."
        self.error(at, f"{label(at)} is not a key that vault knows. {hint}", stop="")

    def missing(self, at: Key, hint: Any) -> None:
        """Complain about a key or table that must be there."""
        kind = kind_of(hint)
        if kind is None:
            self.error(at, f"the table [{dotted(at)}] is missing")
        else:
            self.error(at, f"{label(at)} is missing: it must be {kind.allowed}")

    def error(self, at: Key, what: str, stop: str = ".") -> None:
        """Note an error about the key `at`."""
        line = nearest_line(self.lines, at)
        where = f"{self.path}, line {line}" if line else str(self.path)
        self.errors.append(f"{where}: {what}{stop}")


def kind_of(hint: Any) -> Kind | None:
    """The kind in an `Annotated[…, kind]`; None for what is a table."""
    metadata = getattr(hint, "__metadata__", ())
    return metadata[0] if metadata else None


def sections_of(hint: Any) -> tuple[type[Section], bool]:
    """The model of a table, and whether the key holds a list of them."""
    origin = typing.get_origin(hint)
    if origin is tuple:
        return typing.get_args(hint)[0], True
    if origin is types.UnionType:
        return typing.get_args(hint)[0], False
    return hint, False


def dotted(at: Key) -> str:
    """`rois.dicom`; elements of a list are not numbered."""
    return ".".join(name for name in at if isinstance(name, str))


def label(at: Key) -> str:
    """A key as people write it: `[rois.dicom] port`."""
    table, name = dotted(at[:-1]), str(at[-1])
    if isinstance(at[-1], int):
        return f"[[{table}]] number {at[-1] + 1}"
    return f"[{table}] {name}" if table else f"[{name}]"


def shown(value: Any) -> str:
    """A wrong value as it stands in the file, cut to a length that fits a line."""
    if isinstance(value, str):
        text = f'"{value}"' if value.isprintable() else repr(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value)
    if "AGE-SECRET-KEY-" in text:
        return "(a secret key)"
    if PASSWORD.search(text):
        return "(a text with a password)"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
