"""Who is under treatment, as the database says, and when its answer is an anomaly and not an instruction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import median

from vault.config import Config
from vault.errors import DatabaseError
from vault.model import Failure, PatientID, Row
from vault.rois.sql import queries as query_sets
from vault.rois.sql.connection import LostError
from vault.rois.sql.contract import PATIENT_ID
from vault.rois.sql.fetch import Asker, settings, unreachable
from vault.rois.uids import unfit_patient_id

RUNS_COMPARED = 14
"""How many earlier runs a census is held against."""

GONE_SHARE = 0.25
"""Share of the last census that may be gone at once; a department of 30 fractions ends with about 1/40 a day."""

SHRUNK_SHARE = 0.6
"""A census smaller than this share of the usual one is no ordinary night, nor a week of public holidays."""

FEWEST = 3
"""So many patients may always go: half of a department of six may finish on one Friday."""


def census(
    config: Config,
    *,
    now: datetime,
    held: Mapping[PatientID, date | None] | None = None,
    refused: list[Failure] | None = None,
) -> list[PatientID]:
    """The patients whom the database names, and those in the vault whose last treatment is recent; sorted.

    `held` maps each patient in the vault to the latest treatment that the vault itself has seen: a missed fraction,
    or a database that forgets, drops nobody within `[census] days`. `now` is the site's local time without a zone.
    `refused` gets a Failure for rows that can't be used.

    Raises ConfigError for a query set that can't be used, DatabaseError when the database can't be asked, names
    nobody, or lacks a column.
    """
    failures: list[Failure] = [] if refused is None else refused
    since = datetime.combine(now.date() - timedelta(days=config.census.days), datetime.min.time())
    chosen = query_sets.load(settings(config).queries)
    chosen.require("census")
    with Asker(config, chosen, since, now) as asker:
        try:
            named = _usable(asker.all_rows("census"), failures)
            treated: dict[PatientID, str] = {}
            if "last_treatment" in chosen.statements:
                treated = _latest(asker.all_rows("last_treatment"))
        except LostError as error:
            raise unreachable(error) from None
    failures += asker.failures
    if not named:
        raise DatabaseError(
            "The census found nobody: the database names no patient under treatment. If that can't be, try the query "
            "set with `vault doctor --queries`, or list the patients in vault.toml."
        )
    return sorted(named | _kept(held or {}, treated, since.date()))


def implausible(previous: Sequence[Collection[str]], current: Collection[str]) -> str | None:
    """Why a census can't be taken at its word, or None.

    `previous` are the censuses of earlier runs, newest first, `current` is tonight's: patient IDs or pseudonyms, all
    of one kind. A reason is an anomaly to report; whoever was dropped is still to be asked for.
    """
    earlier = [set(census) for census in previous if census][:RUNS_COMPARED]
    now = set(current)
    if not earlier:
        return None
    if not now:
        return f"the census is empty; the last one had {len(earlier[0])} patients"
    gone = earlier[0] - now
    if len(gone) > max(FEWEST, GONE_SHARE * len(earlier[0])):
        return f"{len(gone)} of the last census's {len(earlier[0])} patients are no longer in it"
    usual = median(len(census) for census in earlier)
    if usual - len(now) > FEWEST and len(now) < SHRUNK_SHARE * usual:
        return f"the census has {len(now)} patients; over the last {len(earlier)} runs {usual:g} were usual"
    return None


def _usable(rows: Sequence[Row], failures: list[Failure]) -> set[PatientID]:
    ids = {row.fields[PATIENT_ID] or "" for row in rows}
    unfit = sum(bool(unfit_patient_id(text)) for text in ids)
    if unfit:
        failures.append(
            Failure(
                "census",
                f"{unfit} patient ID{'s' * (unfit > 1)} from the database can't be asked for: empty, too long or with "
                "a wildcard; correct them there. Nothing of these patients is kept.",
            )
        )
    return {PatientID(text) for text in ids if not unfit_patient_id(text)}


def _latest(rows: Sequence[Row]) -> dict[PatientID, str]:
    latest: dict[PatientID, str] = {}
    for row in rows:
        patient_id, last = PatientID(row.fields[PATIENT_ID] or ""), row.fields["last_treatment"] or ""
        latest[patient_id] = max(last, latest.get(patient_id, ""))
    return latest


def _kept(
    held: Mapping[PatientID, date | None], treated: Mapping[PatientID, str], since: date
) -> set[PatientID]:
    """Those of the vault's patients whose last treatment, by the vault or the database, is of `since` or later."""
    return {
        patient_id
        for patient_id, seen in held.items()
        if max(seen.isoformat() if seen else "", treated.get(patient_id, "")) >= since.isoformat()
    }
