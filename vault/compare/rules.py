"""How much a finding matters: the rules that ship with the vault, and a site's own beside its configuration."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from vault.compare.findings.said import Said
from vault.config.lines import Key, key_lines, nearest_line
from vault.errors import ConfigError
from vault.model import Finding

Severity = Literal["critical", "major", "minor", "administrative", "routine"]

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""Worst first."""

FILE = "rules.toml"
"""The name of a site's rules, beside its vault.toml."""

LARGEST = 1 << 20
"""Bytes of the largest rules file that is read."""

BY_QUERY = frozenset({"database", "database-added"})
"""Tables whose keys are the names of a site's own queries."""

_DEMOTE = "demote"


class Demotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attribute that a site judges less grave."""

    attribute: str
    to: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Severities by `table.key`, and demotions by attribute. What is in neither is critical."""

    severities: Mapping[str, str]
    demotions: Mapping[str, str] = field(default_factory=dict)

    def weigh(self, said: Said) -> Finding:
        """A finding with its severity."""
        severity = self.severities.get(said.subject, SEVERITIES[0])
        demoted = [self.demotions.get(attribute) for attribute in said.attributes]
        if demoted and None not in demoted:  # every attribute that it tells of, else the worst of them stands
            mildest_worst = worst(level for level in demoted if level)
            severity = max(severity, mildest_worst or severity, key=SEVERITIES.index)
        return Finding(severity, said.text)


def worst(severities: Iterable[str]) -> str | None:
    """The worst of some severities, None of none."""
    return min(severities, key=SEVERITIES.index, default=None)


def load(folder: Path | None = None) -> Rules:
    """The shipped rules, and over them those of the file `rules.toml` in `folder` where there is one.

    Raises ConfigError that lists every error of that file with its line.
    """
    shipped = _tables(tomllib.loads(resources.files("vault.compare").joinpath(FILE).read_text("utf-8")))
    path = folder / FILE if folder else None
    text = _text(path) if path else None
    if path is None or text is None:
        return Rules(shipped)
    return _site(path, text, shipped)


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path} is larger than {LARGEST} bytes: that can't be rules.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.") from None


def _tables(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{table}.{key}": severity
        for table, rules in document.items()
        if table != _DEMOTE
        for key, severity in rules.items()
    }


def _site(path: Path, text: str, shipped: Mapping[str, str]) -> Rules:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is not TOML: {error}.") from None
    lines = key_lines(text)
    wrong = [
        f"{path}, line {nearest_line(lines, key) or 1}: {what}" for key, what in _errors(document, shipped)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
    demotions = msgspec.convert(document.get(_DEMOTE, []), list[Demotion])
    return Rules({**shipped, **_tables(document)}, {one.attribute: one.to for one in demotions})


def _errors(document: Mapping[str, Any], shipped: Mapping[str, str]) -> Iterable[tuple[Key, str]]:
    tables = {name.partition(".")[0] for name in shipped}
    for table, rules in document.items():
        if table == _DEMOTE:
            yield from _demotion_errors(rules)
        elif table not in tables:
            yield (table,), f"there is no table [{table}].{_nearest(table, tables)}"
        elif not isinstance(rules, dict):
            yield (table,), f"[{table}] must be a table of severities."
        else:
            keys = {name.partition(".")[2] for name in shipped if name.startswith(f"{table}.")}
            for key, severity in rules.items():
                if key not in keys and table not in BY_QUERY:
                    yield (table, key), f"[{table}] has no key {key!r}.{_nearest(key, keys)}"
                elif severity not in SEVERITIES:
                    yield (table, key), f"[{table}] {key} can't be {severity!r}; allowed are {_allowed()}."


def _demotion_errors(demotions: Any) -> Iterable[tuple[Key, str]]:
    if not isinstance(demotions, list):
        yield (_DEMOTE,), "demotions are written as [[demote]], each with attribute, to and reason."
        return
    for number, demotion in enumerate(demotions):
        try:
            one = msgspec.convert(demotion, Demotion)
        except msgspec.ValidationError as error:
            yield (
                (_DEMOTE, number),
                f"[[demote]] needs attribute, to ({_allowed()}) and reason, and nothing else: {error}.",
            )
            continue
        if not one.reason.strip() or not one.attribute.strip():
            yield (_DEMOTE, number), "[[demote]] needs an attribute and a reason, for whoever reads it next."


def _allowed() -> str:
    return ", ".join(f'"{severity}"' for severity in SEVERITIES)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Is {close[0]!r} meant?" if close else f" Allowed are: {', '.join(sorted(known))}."
