"""Which attribute names the items of a sequence; `identity.toml` says it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from vault.dicom import dictionary


@cache
def identity_tags() -> dict[int, int]:
    """The tag of a sequence to the tag of the attribute in which its items differ."""
    table = tomllib.loads(resources.files("vault.normal").joinpath("identity.toml").read_text("utf-8"))
    tags = dictionary.tags_by_keyword()
    return {tags[sequence]: tags[attribute] for sequence, attribute in table.items()}
