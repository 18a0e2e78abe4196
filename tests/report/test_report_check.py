"""At night: hourly rows against treatment records."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from day_rows import history

from vault.model import Row
from vault.report.check import unmatched

ZONE = ZoneInfo("Europe/Berlin")


def recorded(rows: list[Row], uid: str = "1.9", **changes: str) -> list[Row]:
    return [Row("history", {**row.fields, "record_uid": uid, **changes}) for row in rows]


def said(rows: list[Row], records: list[Row], seen_until: datetime | None = None) -> list[str]:
    found = unmatched(rows, records, zone=ZONE, seen_until=seen_until)
    return [f"{item.subject}: {item.reason}" for item in found]


def test_what_agrees_is_not_mentioned() -> None:
    rows = history(record_uid="1.9")
    assert said(rows, recorded(rows)) == []
    assert said(history(), recorded(rows, field="called otherwise")) == []
    assert said([], []) == []


def test_a_treatment_without_a_record_is_a_finding() -> None:
    (first, second) = said(history(), [])
    assert first.startswith("field 1-ARC of fraction 12: ")
    assert "08:12" in second
    assert "no treatment record" in second


def test_a_time_with_an_offset_is_told_in_the_sites_zone() -> None:
    (finding,) = said(history(fields=(("1-ARC", "376.5"),), started="2026-11-24T23:50:00+00:00"), [])
    assert "saw it delivered at 00:50," in finding
    (finding,) = said(history(fields=(("1-ARC", "376.5"),), started="never"), [])
    assert "saw it delivered at \u2013," in finding


def test_the_record_that_the_database_names_must_be_the_one_that_came() -> None:
    rows = [Row("history", {**row.fields, "record_uid": f"1.{n}"}) for n, row in enumerate(history())]
    (finding,) = said(rows, recorded(rows[:1], "1.0", delivered_mu="737.5"))
    assert finding.startswith("field 2-ARC")


def test_other_monitor_units_are_a_finding() -> None:
    rows = history()
    short = [*recorded(rows[:1]), *recorded(rows[1:], delivered_mu="100")]
    (finding,) = said(rows, short)
    assert "737.5 MU" in finding
    assert "476.5" in finding


def test_a_record_that_no_hourly_run_saw_is_a_finding_only_where_one_looked_later() -> None:
    record = recorded(history())
    assert said([], record) == []
    assert said([], record, datetime(2026, 11, 25, 8, 0)) == []
    (finding,) = said([], record, datetime(2026, 11, 25, 9, 0))
    assert "08:10" in finding
    assert "09:00" in finding
