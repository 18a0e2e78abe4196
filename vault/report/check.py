"""What the hourly runs saw in the database, held against the treatment records that the machine wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from vault.model import Failure, Row
from vault.report.build import local_time, number
from vault.report.treatments import beyond, short_of, total
from vault.report.words import amount, clock

Sessions = dict[tuple[str, str], list[Row]]
"""Plan's UID and fraction to its rows."""


def unmatched(
    rows: Iterable[Row], records: Iterable[Row], *, zone: ZoneInfo, seen_until: datetime | None = None
) -> list[Failure]:
    """What does not agree of one patient on one day; empty when all does.

    `rows` are the day's history rows of the hourly runs, `records` the rows that the day's treatment records come to
    (`vault.report.records`). `seen_until` (local, without zone) is when the last hourly run looked: what the machine
    recorded before it should be among the rows. The sentences name no patient.
    """
    seen, written = _sessions(rows), _sessions(records)
    arrived = {_text(row, "record_uid") for answered in written.values() for row in answered}
    found: list[Failure] = []
    for key, answered in seen.items():
        there = written.get(key, [])
        found += _without_record(answered, there, arrived, zone)
        if there:
            found += _other_amount(key, answered, there)
    for key, there in written.items():
        began = [time for row in there if (time := local_time(row.fields.get("started"), zone))]
        if key not in seen and seen_until and began and max(began) < seen_until:
            found.append(
                Failure(
                    f"fraction {key[1]}",
                    f"a treatment record says that it was given at {min(began):%H:%M}, but the database had not shown "
                    f"it by {seen_until:%H:%M}: find out why",
                )
            )
    return found


def _without_record(
    answered: Sequence[Row], there: Sequence[Row], arrived: Collection[str], zone: ZoneInfo
) -> Iterable[Failure]:
    for row in answered:
        uid = _text(row, "record_uid")
        if uid in arrived if uid else bool(there):
            continue
        seen = clock(local_time(row.fields.get("started"), zone))
        yield Failure(
            f"field {_text(row, 'field')} of fraction {_text(row, 'fraction')}",
            f"an hourly run saw it delivered at {seen}, but no treatment record of it has "
            "arrived: see whether the ROIS has one",
        )


def _other_amount(key: tuple[str, str], answered: Sequence[Row], there: Sequence[Row]) -> Iterable[Failure]:
    said, recorded = _delivered(answered), _delivered(there)
    if short_of(said, recorded) or beyond(said, recorded):
        yield Failure(
            f"fraction {key[1]}",
            f"the database told the hourly runs of {amount(said)} MU, the treatment records say {amount(recorded)}: "
            "find out which is right",
        )


def _delivered(rows: Iterable[Row]) -> Decimal | None:
    return total(number(row.fields.get("delivered_mu")) for row in rows)


def _sessions(rows: Iterable[Row]) -> Sessions:
    grouped: Sessions = defaultdict(list)
    for row in rows:
        grouped[_text(row, "plan_uid"), _text(row, "fraction")].append(row)
    return dict(grouped)


def _text(row: Row, column: str) -> str:
    return row.fields.get(column) or ""
