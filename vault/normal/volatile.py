"""The attributes that the normal form leaves out: those that ship with the vault, and those a site adds."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from vault.dicom import dictionary
from vault.errors import ConfigError
from vault.normal import VERSION

_TAG = re.compile(r"\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\)")
_PRIVATE = re.compile(r"\{[^{}]+\}\([0-9a-f]{4},xx[0-9a-f]{2}\)")
_GROUP_LENGTH = "(gggg,0000)"
_DECODED = "decoded"
"""The section of what `vault.normal.frames` rewrites, and never leaves out by its name alone."""


@dataclass(frozen=True, slots=True)
class VolatileTable:
    """Which attributes are left out, at any depth. Group lengths always are."""

    tags: frozenset[int]
    private: frozenset[str] = frozenset()
    """As the normal form names them: `{CREATOR}(gggg,xxee)`."""
    label: str = str(VERSION)
    """The version of the normal form, with eight digits for a site's additions: what commits carry as a trailer."""


def _shipped() -> VolatileTable:
    table = tomllib.loads(resources.files("vault.normal").joinpath("volatile.toml").read_text("utf-8"))
    sections = [section for title, section in table.items() if title != _DECODED]
    names = [name for section in sections for name in section if name != _GROUP_LENGTH]
    return VolatileTable(frozenset(dictionary.tags_by_keyword()[name] for name in names))


SHIPPED = _shipped()
"""The table of `volatile.toml`."""


def extended(entries: Iterable[tuple[str, str]]) -> VolatileTable:
    """The shipped table with a site's entries: attribute and reason.

    Raises ConfigError for what names no attribute.
    """
    tags, private = set(SHIPPED.tags), set()
    attributes = sorted({attribute for attribute, _ in entries})
    for attribute in attributes:
        if _PRIVATE.fullmatch(attribute):
            private.add(attribute)
        elif match := _TAG.fullmatch(attribute):
            tags.add(int(match[1] + match[2], 16))
        elif attribute in dictionary.tags_by_keyword():
            tags.add(dictionary.tags_by_keyword()[attribute])
        else:
            raise ConfigError(
                f"[[normal.volatile]] attribute {attribute!r} names no attribute; allowed are a keyword "
                '("InstanceCreationTime"), a tag ("(0008,0013)") or a private element ("{ACME}(0029,xx10)"), '
                "as `vault calibrate` prints them"
            )
    if not attributes:
        return SHIPPED
    digest = hashlib.sha256("\n".join(attributes).encode()).hexdigest()[:8]
    return VolatileTable(frozenset(tags), frozenset(private), f"{VERSION}+{digest}")
