"""Who is under treatment, as the database says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from vault.config import Config
from vault.errors import DatabaseError
from vault.model import Failure, PatientID, Row
from vault.rois.sql import queries as query_sets
from vault.rois.sql.connection import LostError
from vault.rois.sql.contract import PATIENT_ID
from vault.rois.sql.fetch import Asker, settings, unreachable
from vault.rois.uids import unfit_patient_id


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
