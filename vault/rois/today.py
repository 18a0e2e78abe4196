"""Which treatment records the ROIS holds of one day: queries by TreatmentDate (3008,0250) at IMAGE level.

A ROIS that allows relational queries is asked once for everybody. Else each patient's record series are asked; what
dates their study and series have says nothing, since both are as old as the first treatment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from vault.config import Config
from vault.model import Failure, FoundObject, ObjectKey, PatientID
from vault.rois.association import Connection
from vault.rois.census import RECORD, may_hold_records
from vault.rois.query import AnsweredError, Entry, Finder, RefusedError, text_of
from vault.rois.uids import is_uid, unfit_patient_id


@dataclass(slots=True)
class Records:
    """What was found."""

    of: dict[PatientID, list[FoundObject]] = field(default_factory=dict)
    """Records of the day, and those that the ROIS gives no date for."""
    failed: dict[PatientID, Failure] = field(default_factory=dict)


def records_of(config: Config, day: date, patients: Collection[PatientID]) -> Records:
    """Find the records of `day`: of everybody where the ROIS can say so at once, else of `patients`.

    A patient's failure is in the result; raises PeerError when the ROIS can't be asked at all.
    """
    with Connection(config) as connection:
        finder = Finder(connection, config.rois.dicom.retrieve, relational=config.retrieve.relational)
        if config.retrieve.relational:
            found = _of_everybody(finder, day)
            if found is not None:
                return Records(found)
        return _of_each(finder, day, patients)


def _of_everybody(finder: Finder, day: date) -> dict[PatientID, list[FoundObject]] | None:
    """One relational query; None when the peer refuses it."""
    keys = {
        "PatientID": "",
        "StudyInstanceUID": "",
        "SeriesInstanceUID": "",
        "SOPInstanceUID": "",
        "SOPClassUID": "",
        "Modality": RECORD,
        "TreatmentDate": f"{day:%Y%m%d}",
    }
    try:
        answers = list(finder.query("IMAGE", keys))
    except RefusedError:
        return None
    found: dict[PatientID, list[FoundObject]] = defaultdict(list)
    for item in answers:
        patient_id = text_of(item, "PatientID")
        if text_of(item, "Modality") != RECORD or unfit_patient_id(patient_id) or not _may_be_of(item, day):
            continue
        found[PatientID(patient_id)] += _objects(
            [item], text_of(item, "StudyInstanceUID"), text_of(item, "SeriesInstanceUID")
        )
    return dict(found)


def _of_each(finder: Finder, day: date, patients: Iterable[PatientID]) -> Records:
    records = Records()
    for patient_id in patients:
        if unfit_patient_id(patient_id):
            continue
        try:
            found = list(_of_patient(finder, day, patient_id))
        except AnsweredError as error:
            records.failed[patient_id] = Failure("", str(error))
            continue
        if found:
            records.of[patient_id] = found
    return records


def _of_patient(finder: Finder, day: date, patient_id: PatientID) -> Iterator[FoundObject]:
    keys = {"PatientID": patient_id, "StudyInstanceUID": "", "ModalitiesInStudy": ""}
    studies = {
        text_of(item, "StudyInstanceUID")
        for item in list(finder.query("STUDY", keys))
        if text_of(item, "PatientID") == patient_id and may_hold_records(item)
    }
    for study in sorted(filter(is_uid, studies)):
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": RECORD}
        for series in finder.below(patient_id, "SERIES", keys):
            series_uid = text_of(series, "SeriesInstanceUID")
            if text_of(series, "Modality") != RECORD or not is_uid(series_uid):
                continue
            keys = {
                "StudyInstanceUID": study,
                "SeriesInstanceUID": series_uid,
                "SOPInstanceUID": "",
                "SOPClassUID": "",
                "TreatmentDate": "",
            }
            items = [item for item in finder.below(patient_id, "IMAGE", keys) if _may_be_of(item, day)]
            yield from _objects(items, study, series_uid)


def _objects(items: Iterable[Entry], study: str, series: str) -> Iterator[FoundObject]:
    for item in items:
        sop, sop_class = text_of(item, "SOPInstanceUID"), text_of(item, "SOPClassUID")
        if is_uid(sop) and is_uid(study) and is_uid(series):
            yield FoundObject(study, ObjectKey(RECORD, series, sop), sop_class if is_uid(sop_class) else "")


def _may_be_of(record: Entry, day: date) -> bool:
    """Whether a record is of the day, as far as the ROIS says: one without a date may be."""
    stamp = text_of(record, "TreatmentDate")
    return stamp == f"{day:%Y%m%d}" or not (len(stamp) == 8 and stamp.isdecimal())
