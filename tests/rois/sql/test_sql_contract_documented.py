"""config/queries/README.md says what the contract says."""

from __future__ import annotations

import re

import pytest

from vault.rois.sql.contract import CONTRACT, Contract, Kind
from vault.rois.sql.queries import SHIPPED, shipped


def documented() -> dict[str, tuple[str, list[str]]]:
    rows = re.findall(
        r"^\| `(\w+)`, (per patient|once for all) \| (.*) \|$", shipped("README.md"), re.MULTILINE
    )
    return {query: (how, columns.split("; ")) for query, how, columns in rows}


@pytest.mark.parametrize("contract", CONTRACT.values(), ids=CONTRACT.keys())
def test_the_columns_of_a_query(contract: Contract) -> None:
    how, columns = documented()[contract.query]
    assert (how == "per patient") == contract.per_patient
    expected = []
    for column in contract.columns:
        kind = "" if column.kind is Kind.TEXT else f" ({column.kind.value})"
        said = f"`{column.name}`{kind}" + ("" if column.null else ", not empty")
        expected.append(said if column.required else f"[{said}]")
    assert columns == expected


def test_no_query_is_documented_that_there_is_not() -> None:
    assert documented().keys() == CONTRACT.keys()


def test_what_ships_is_there() -> None:
    assert all(shipped(name) for name in SHIPPED)
