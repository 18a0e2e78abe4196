"""C-FIND: which objects the ROIS holds of a patient (PS3.4 C.4.1).

Hierarchical: studies, then the series of each, then the objects of each. Relational, where the site says its ROIS
can: one query for all objects of the patient. Answers come from a stranger: they are bounded, other patients' are
left out (studies shared between patients exist), and an answer without a valid UID is a failure with a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vault.errors import PeerError
from vault.model import Failure, FoundObject, ObjectKey, PatientID
from vault.rois.association import FIND, PENDING, Connection
from vault.rois.uids import is_uid, unfit_patient_id

MOST_ANSWERS = 200_000
"""Answers to the queries for one patient; a busy one has some ten thousand objects."""

MOST_BYTES = 64 << 20
"""Bytes of all answers to the queries for one patient; ten thousand objects take about 3 MB."""

_LENGTHS = {
    "PatientID": 64,
    "StudyInstanceUID": 64,
    "SeriesInstanceUID": 64,
    "SOPInstanceUID": 64,
    "SOPClassUID": 64,
    "Modality": 16,
    "ModalitiesInStudy": 1024,
    "TreatmentDate": 8,
}
"""What is kept of an answer, and the characters DICOM allows it (PS3.5 Table 6.2-1)."""

Entry = Mapping[str, str]
"""What is kept of one answer: keyword to text, only where there is any."""

_UNSUITABLE = {0xA900, 0xC000, 0x0122}
"""Statuses that a peer answers with when it does not like a key; it is asked again without the optional ones."""


@dataclass(slots=True)
class Answer:
    """What the queries for one patient brought. Only a `complete` one may say that something is gone."""

    studies: int = 0
    found: list[FoundObject] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every answer could be understood."""
        return not self.failures


class Finder:
    """Queries over one connection; remembers what this peer does not understand."""

    def __init__(self, connection: Connection, operation: str, *, relational: bool) -> None:
        self._connection = connection
        self._operation = operation
        self._relational = relational
        self._patient_below_study = True
        self._answers = 0
        self._before = connection.traffic.bytes

    def find(self, patient_id: PatientID) -> Answer:
        """Every object of the patient. Raises PeerError when the peer can't be asked or refuses."""
        unfit = unfit_patient_id(patient_id)
        if unfit:
            return Answer(
                failures=[Failure("", f"The patient ID is not asked for: {unfit}; correct the census.")]
            )
        self._answers = 0
        self._before = self._connection.traffic.bytes
        if self._relational:
            answer = self._find_relational(patient_id)
            if answer is not None:
                return answer
        return self._find_by_level(patient_id)

    def query(self, level: str, keys: dict[str, str]) -> Iterator[Entry]:
        """The answers to one C-FIND. Raises PeerError, also when there are more than is credible."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        if not all(value.isascii() for value in keys.values()):
            identifier.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        model = self._connection.model(FIND, self._operation)
        for status, answer in self._connection.responses(FIND, model, identifier, f"a query for {level}"):
            if status.Status in PENDING:
                self._answers += 1
                yield self._entry(answer)
            elif status.Status != 0:
                raise RefusedError(status.Status, level)

    def _entry(self, answer: Dataset | None) -> Entry:
        """What is kept of one answer. Raises AnsweredError when it is none, or one too many."""
        reason = ""
        if self._answers > MOST_ANSWERS:
            reason = f"a query with more than {MOST_ANSWERS} entries; nothing of it is used"
        elif self._connection.traffic.bytes - self._before > MOST_BYTES:
            reason = f"a query with more than {MOST_BYTES >> 20} MiB; nothing of it is used"
        elif answer is None:
            reason = "a query with something that is no data set; see its log"
        if answer is None or reason:
            self._connection.drop()
            raise AnsweredError(f"The ROIS answered {reason}.")
        return _kept(answer)

    def _find_by_level(self, patient_id: PatientID) -> Answer:
        answer = Answer()
        studies: dict[str, Entry] = {}
        for item in self.query("STUDY", {"PatientID": patient_id, "StudyInstanceUID": ""}):
            if text_of(item, "PatientID") == patient_id:
                _keep(studies, item, "StudyInstanceUID", "study", answer)
        answer.studies = len(studies)
        for study in studies:
            series: dict[str, Entry] = {}
            for item in self.below(
                patient_id, "SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": ""}
            ):
                _keep(series, item, "SeriesInstanceUID", "series", answer)
            if not series:
                answer.failures.append(_nothing_in("study", study))
            for uid, entry in series.items():
                keys = {
                    "StudyInstanceUID": study,
                    "SeriesInstanceUID": uid,
                    "SOPInstanceUID": "",
                    "SOPClassUID": "",
                }
                objects: dict[str, Entry] = {}
                for item in self.below(patient_id, "IMAGE", keys):
                    _keep(objects, item, "SOPInstanceUID", "SOP", answer)
                if not objects:
                    answer.failures.append(_nothing_in("series", uid))
                answer.found += [
                    _found(item, study, uid, text_of(entry, "Modality")) for item in objects.values()
                ]
        return answer

    def below(self, patient_id: PatientID, level: str, keys: dict[str, str]) -> list[Entry]:
        """Answers below the study level that are this patient's, or do not say whose they are."""
        patient_root = self._connection.model(FIND, self._operation) == "patient"
        if self._patient_below_study or patient_root:
            try:
                answers = list(self.query(level, {"PatientID": patient_id, **keys}))
            except RefusedError as refused:
                if patient_root or refused.status not in _UNSUITABLE:
                    raise
                self._patient_below_study = False
                return self.below(patient_id, level, keys)
        else:
            answers = list(self.query(level, keys))
        return [item for item in answers if text_of(item, "PatientID") in ("", patient_id)]

    def _find_relational(self, patient_id: PatientID) -> Answer | None:
        """One query for everything; None when the peer refuses it, so that it is asked level by level."""
        answer = Answer()
        keys = dict.fromkeys(
            ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"), ""
        )
        objects: dict[str, Entry] = {}
        try:
            for item in self.query("IMAGE", {"PatientID": patient_id, **keys}):
                if text_of(item, "PatientID") == patient_id:
                    _keep(objects, item, "SOPInstanceUID", "SOP", answer)
        except RefusedError:
            self._relational = False
            return None
        for item in objects.values():
            study, series = text_of(item, "StudyInstanceUID"), text_of(item, "SeriesInstanceUID")
            if is_uid(study) and is_uid(series):
                answer.found.append(_found(item, study, series, text_of(item, "Modality")))
            else:
                answer.failures.append(_no_uid("study or series"))
        answer.studies = len({item.study_uid for item in answer.found})
        return answer if objects or answer.failures else None


class AnsweredError(PeerError):
    """The peer is there and answered, but what it answered is of no use. The connection is good, or closed."""


class RefusedError(AnsweredError):
    """The peer answered a query with a failure status."""

    def __init__(self, status: int, level: str) -> None:
        super().__init__(f"The ROIS refused a {level} query with status 0x{status:04X}; see its log.")
        self.status = status


def _found(item: Entry, study: str, series: str, modality: str) -> FoundObject:
    sop_class = text_of(item, "SOPClassUID")
    key = ObjectKey(modality or text_of(item, "Modality"), series, text_of(item, "SOPInstanceUID"))
    return FoundObject(study, key, sop_class if is_uid(sop_class) else "")


def _keep(entries: dict[str, Entry], item: Entry, keyword: str, what: str, answer: Answer) -> None:
    uid = text_of(item, keyword)
    if is_uid(uid):
        entries[uid] = item
    else:
        answer.failures.append(_no_uid(what))


def _no_uid(what: str) -> Failure:
    return Failure(
        "",
        f"The ROIS answered a query with an entry without a valid {what} instance UID; it can't be retrieved.",
    )


def _nothing_in(what: str, uid: str) -> Failure:
    """An archive that lists a container lists its content; one that does not may have lost answers."""
    return Failure(
        f"{what} {uid}",
        f"The ROIS lists this {what}, but nothing in it, so its list is not trusted; look at it there.",
    )


def _kept(answer: Dataset) -> Entry:
    """The few values that matter, so that the rest of an answer does not stay in memory.

    What is longer than DICOM allows is cut one character later: it stays too long, and equal to nothing valid.
    """
    texts = {keyword: _text(answer, keyword)[: length + 1] for keyword, length in _LENGTHS.items()}
    return {keyword: text for keyword, text in texts.items() if text}


def _text(answer: Dataset, keyword: str) -> str:
    """A value as text without padding; several are joined by a backslash, and what can't be read is empty."""
    try:
        value = answer.get(keyword)
    except Exception:  # pydicom converts lazily, and raises whatever the bytes provoke
        return ""
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return str(value).strip(" \0") if value is not None else ""


def text_of(item: Entry, keyword: str) -> str:
    """One value of an answer, empty where it has none."""
    return item.get(keyword, "")
