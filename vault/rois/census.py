"""Who is under treatment: the patients of the list in vault.toml, or those with a recent treatment record."""

from __future__ import annotations

from datetime import date, timedelta

from pydicom.dataset import Dataset

from vault.config import Config
from vault.errors import ConfigError
from vault.model import PatientID
from vault.rois.association import Connection
from vault.rois.query import Finder, RefusedError, text_of
from vault.rois.uids import is_uid, unfit_patient_id

RECORD = "RTRECORD"
"""Modality of treatment records."""


def census(config: Config, *, today: date | None = None) -> list[PatientID]:
    """The patients to retrieve, sorted as the source has them, each once.

    Raises ConfigError when the list is empty or holds an ID that would match others, PeerError when the ROIS
    can't be asked.
    """
    if config.census.source == "list":
        return _listed(config)
    return _treated(config, (today or date.today()) - timedelta(days=config.census.days))


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


def _treated(config: Config, since: date) -> list[PatientID]:
    """Everyone with a treatment record dated `since` or later, as the ROIS has them."""
    connection = Connection(config)
    finder = Finder(connection, config.rois.dicom.retrieve, relational=config.retrieve.relational)
    try:
        found = _by_records(finder, since) if config.retrieve.relational else None
        if found is None:
            found = _by_studies(finder, since)
    finally:
        connection.close()
    return sorted(PatientID(text) for text in found if not unfit_patient_id(text))


def _by_records(finder: Finder, since: date) -> set[str] | None:
    """One relational query for recent treatment records; None when the peer refuses it or finds none."""
    keys = {"Modality": RECORD, "TreatmentDate": f"{since:%Y%m%d}-", "PatientID": "", "SOPInstanceUID": ""}
    try:
        answers = [item for item in finder.query("IMAGE", keys) if text_of(item, "Modality") == RECORD]
    except RefusedError:
        return None
    return {text_of(item, "PatientID") for item in answers if _recent(item, since)} or None


def _by_studies(finder: Finder, since: date) -> set[str]:
    """Studies that hold treatment records, their record series, and when those records are of.

    A study may be much older than its last treatment, so its own date does not exclude it.
    """
    keys = {"PatientID": "", "StudyInstanceUID": "", "ModalitiesInStudy": RECORD, "StudyDate": ""}
    found: set[str] = set()
    for study in list(finder.query("STUDY", keys)):
        patient_id, uid = text_of(study, "PatientID"), text_of(study, "StudyInstanceUID")
        known = patient_id in found or unfit_patient_id(patient_id) or not is_uid(uid)
        if (
            not known
            and _may_hold_records(study)
            and _treated_in(finder, PatientID(patient_id), study, since)
        ):
            found.add(patient_id)
    return found


def _treated_in(finder: Finder, patient_id: PatientID, study: Dataset, since: date) -> bool:
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


def _may_hold_records(study: Dataset) -> bool:
    """Whether a study holds treatment records, as far as the peer says."""
    modalities = text_of(study, "ModalitiesInStudy")
    return not modalities or RECORD in modalities


def _recent(record: Dataset, since: date) -> bool:
    """Whether a record is of `since` or later; one without a date counts: to leave out a patient is worse.

    The dates of its series and study say nothing: both are as old as the first treatment, or older.
    """
    stamp = text_of(record, "TreatmentDate")
    return not (len(stamp) == 8 and stamp.isdecimal()) or stamp >= f"{since:%Y%m%d}"
