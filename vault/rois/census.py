"""Who is under treatment: the list in vault.toml, those with a recent treatment record, or whom the database names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from vault.config import Config
from vault.errors import ConfigError, PeerError
from vault.model import Failure, PatientID
from vault.rois.association import Connection
from vault.rois.query import Entry, Finder, RefusedError, text_of
from vault.rois.uids import is_uid, unfit_patient_id

RECORD = "RTRECORD"
"""Modality of treatment records."""


def census(
    config: Config,
    *,
    today: date | None = None,
    held: Mapping[PatientID, date | None] | None = None,
    refused: list[Failure] | None = None,
) -> list[PatientID]:
    """The patients to retrieve, sorted as the source has them, each once.

    `held` maps the patients in the vault to the latest treatment that it has seen of each: where the database is
    asked, those treated recently stay whatever it says. `refused` gets a Failure when the ROIS names patients by IDs
    that can't be asked for.

    Raises ConfigError when the list is empty or holds an ID that would match others, PeerError or DatabaseError when
    the ROIS can't be asked or names nobody: an empty department is less likely than a ROIS that keeps something back.
    """
    today = today or date.today()
    if config.census.source == "list":
        return _listed(config)
    if config.census.source == "sql":
        from vault.rois.sql.census import census as named  # noqa: PLC0415  # pyodbc, which only this source needs

        return named(config, now=datetime.combine(today, time()), held=held, refused=refused)
    found = _treated(config, today - timedelta(days=config.census.days))
    unfit = sum(bool(unfit_patient_id(text)) for text in found)
    if unfit and refused is not None:
        refused.append(_unfit(unfit))
    if len(found) == unfit:
        raise _nobody(config.census.days, unfit)
    return sorted(PatientID(text) for text in found if not unfit_patient_id(text))


def _listed(config: Config) -> list[PatientID]:
    if not config.census.patients:
        raise ConfigError(
            f"{config.path}: [census] patients is empty, so there is nobody to retrieve. "
            'Name the patients, or set source = "dicom".'
        )
    ids = [text.strip() for text in config.census.patients]
    for number, text in enumerate(ids, 1):
        unfit = unfit_patient_id(text)
        if unfit:
            raise ConfigError(
                f"{config.path}: entry {number} of [census] patients can't be asked for: {unfit}."
            )
        if text in ids[: number - 1]:
            raise ConfigError(f"{config.path}: entry {number} of [census] patients stands there twice.")
    return [PatientID(text) for text in ids]


def _treated(config: Config, since: date) -> set[str]:
    """Everyone with a treatment record dated `since` or later, and IDs that say nothing, as the ROIS has them."""
    with Connection(config) as connection:
        finder = Finder(connection, config.rois.dicom.retrieve, relational=config.retrieve.relational)
        found = _by_records(finder, since) if config.retrieve.relational else None
        return found or _by_studies(finder, since)


def _unfit(number: int) -> Failure:
    return Failure(
        "census",
        f"{number} patient ID{'s' * (number > 1)} from the ROIS can't be asked for: empty, too long or with a "
        "wildcard; correct them there. Nothing of these patients is kept.",
    )


def _nobody(days: int, unfit: int) -> PeerError:
    found = f"nobody but {unfit} whose ID can't be asked for" if unfit else "nobody"
    return PeerError(
        f"The census found {found}: the ROIS names no treatment record in the last {days} days. If that can't be, "
        "raise [census] days, check what the ROIS lets this computer see, or list the patients in vault.toml."
    )


def _by_records(finder: Finder, since: date) -> set[str] | None:
    """One relational query for recent treatment records; None when the peer refuses it or finds nobody."""
    keys = {"Modality": RECORD, "TreatmentDate": f"{since:%Y%m%d}-", "PatientID": "", "SOPInstanceUID": ""}
    try:
        answers = [item for item in finder.query("IMAGE", keys) if text_of(item, "Modality") == RECORD]
    except RefusedError:
        return None
    found = {text_of(item, "PatientID") for item in answers if _recent(item, since)}
    return None if all(map(unfit_patient_id, found)) else found


def _by_studies(finder: Finder, since: date) -> set[str]:
    """Studies that hold treatment records, their record series, and when those records are of.

    A study may be much older than its last treatment, so its own date does not exclude it.
    """
    keys = {"PatientID": "", "StudyInstanceUID": "", "ModalitiesInStudy": RECORD, "StudyDate": ""}
    found: set[str] = set()
    for study in list(finder.query("STUDY", keys)):
        patient_id, uid = text_of(study, "PatientID"), text_of(study, "StudyInstanceUID")
        if patient_id in found or not may_hold_records(study):
            continue
        unfit = unfit_patient_id(patient_id) or not is_uid(
            uid
        )  # what can't be looked at is not left out in silence
        if unfit or _treated_in(finder, PatientID(patient_id), study, since):
            found.add(patient_id)
    return found


def _treated_in(finder: Finder, patient_id: PatientID, study: Entry, since: date) -> bool:
    study_uid = text_of(study, "StudyInstanceUID")
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", "Modality": RECORD}
    for series in finder.below(patient_id, "SERIES", keys):
        series_uid = text_of(series, "SeriesInstanceUID")
        if text_of(series, "Modality") != RECORD or not is_uid(series_uid):
            continue
        keys = {
            "StudyInstanceUID": study_uid,
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": "",
            "TreatmentDate": "",
        }
        if any(_recent(record, since) for record in finder.below(patient_id, "IMAGE", keys)):
            return True
    return False


def may_hold_records(study: Entry) -> bool:
    """Whether a study holds treatment records, as far as the peer says."""
    modalities = text_of(study, "ModalitiesInStudy")
    return not modalities or RECORD in modalities


def _recent(record: Entry, since: date) -> bool:
    """Whether a record is of `since` or later; one without a date counts: to leave out a patient is worse.

    The dates of its series and study say nothing: both are as old as the first treatment, or older.
    """
    stamp = text_of(record, "TreatmentDate")
    return not (len(stamp) == 8 and stamp.isdecimal()) or stamp >= f"{since:%Y%m%d}"
