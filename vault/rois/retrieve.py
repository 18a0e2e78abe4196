"""The network phase for each patient: ask what there is, have it sent, and check that it came.

What the ROIS *says* about a retrieval is never believed: success before anything was sent, and partial success
without a word, are both known. What counts is which of the objects that C-FIND named lie in the inbox.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from vault.config import Config
from vault.errors import PeerError
from vault.model import Failure, FoundObject, ObjectKey, PatientID, Retrieval
from vault.names import safe_name
from vault.progress import Progress, Silent
from vault.rois.association import MOVE
from vault.rois.inbox import Inbox
from vault.rois.plan import Move, RetrievalPlan, instance_moves, plan
from vault.rois.query import AnsweredError, Finder
from vault.rois.transfer import Transfer, opened

GIVE_UP_AFTER = 3
"""Patients in a row whose retrieval fails for the connection; then the ROIS counts as away for the night."""

AT_ONCE = 50
"""Objects of one series in one request, where the ROIS can; each request costs an association of its own."""

BREAKS_IN_A_ROW = 3
"""Lost connections after which a ROIS that has sent something is not asked for the next objects in this round."""

_STATUS = {
    0xA801: "the ROIS does not know where to send: register [receiver] ae_title there with its address and port",
    0xA702: "the ROIS could not reach the receiver: check [receiver] port, and the firewalls in between",
    0xA701: "the ROIS could not even count what it has to send",
    0x0124: "the ROIS does not allow it: register [receiver] ae_title there as a trusted application",
}
"""What a final C-MOVE status means where peers agree (PS3.4 Table C.4-2)."""


def retrieve(
    config: Config,
    patients: Collection[PatientID],
    inbox: Inbox,
    *,
    held: Callable[[PatientID], frozenset[ObjectKey]],
    last_complete: Callable[[PatientID], date | None],
    today: date,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Retrieval]:
    """Retrieve what is due of each patient into `inbox`, and yield, durably recorded, what came of it.

    `held` are the objects in the archive, `last_complete` the day of the last complete retrieval. The receiver
    runs from the first step of this iterator to its end. A patient's failure is in its Retrieval.

    Raises UsageError when the receiver can't listen.
    """
    bar = progress or Silent()
    with opened(config, inbox, patients) as transfer:
        session = _Session(config, inbox, transfer, sleep)
        for patient_id in patients:
            retrieval = session.retrieve(patient_id, held(patient_id), last_complete(patient_id), today)
            inbox.record(retrieval)
            bar.advance()
            yield retrieval


def retrieve_these(
    config: Config,
    wanted: Mapping[PatientID, Sequence[FoundObject]],
    inbox: Inbox,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Retrieval]:
    """Retrieve just these objects into `inbox`, and yield, patient by patient, what came of it.

    A Retrieval's `found` is None: it says nothing of what else there is. Raises UsageError when the receiver can't
    listen.
    """
    with opened(config, inbox, wanted) as transfer:
        session = _Session(config, inbox, transfer, sleep)
        for patient_id, objects in wanted.items():
            yield session.retrieve_these(patient_id, objects)


@dataclass(slots=True)
class _Course:
    """How the retrieval of one patient goes."""

    troubles: dict[str, None] = field(default_factory=dict)
    """How the connection was lost; of interest only if something did not arrive in the end."""
    statuses: dict[int, None] = field(default_factory=dict)
    """The final statuses that were no success, in the order in which they came."""
    broke_on: set[str] = field(default_factory=set)
    """SOP Instance UIDs of requests in which the connection was lost."""


class _Session:
    """What one night knows about its ROIS."""

    def __init__(
        self, config: Config, inbox: Inbox, transfer: Transfer, sleep: Callable[[float], None]
    ) -> None:
        self._config = config
        self._inbox = inbox
        self._transfer = transfer
        self._sleep = sleep
        self._finder = Finder(transfer.connection, transfer.operation, relational=config.retrieve.relational)
        self._at_once = AT_ONCE
        self._away = 0
        self._away_reason = ""

    def retrieve(
        self, patient_id: PatientID, held: frozenset[ObjectKey], last_complete: date | None, today: date
    ) -> Retrieval:
        if self._away >= GIVE_UP_AFTER:
            return Retrieval(patient_id, None, failures=(Failure("", self._away_reason),))
        try:
            answer = self._finder.find(patient_id)
        except AnsweredError as error:  # about this patient; whoever answers is not away
            self._away = 0
            return Retrieval(patient_id, None, failures=(Failure("", str(error)),))
        except PeerError as error:
            self._transfer.connection.drop()
            self._away, self._away_reason = self._away + 1, str(error)
            return Retrieval(patient_id, None, failures=(Failure("", str(error)),))
        if not answer.studies:
            self._away = 0
            reason = (
                "the ROIS knows no such patient; correct the census, or look for the patient under another ID"
            )
            return Retrieval(patient_id, None, failures=tuple(answer.failures) or (Failure("", reason),))
        held_uids = {key.sop_uid for key in held}
        objects = [item for item in answer.found if self._wants(item, held_uids)]
        todo = plan(objects, held, self._config.retrieve.policy, today, last_complete)
        course = _Course()
        missing = self._fetch(patient_id, todo, course)
        self._note_away(course, gone=bool(missing) and len(missing) == len(todo.due))
        return Retrieval(
            patient_id,
            tuple(answer.found) if answer.complete else None,
            todo.not_due,
            tuple(missing),
            (*answer.failures, *self._causes(missing, course)),
        )

    def retrieve_these(self, patient_id: PatientID, objects: Sequence[FoundObject]) -> Retrieval:
        """Retrieve these objects, one by one or a few at once."""
        if self._away >= GIVE_UP_AFTER:
            return Retrieval(
                patient_id, None, missing=tuple(objects), failures=(Failure("", self._away_reason),)
            )
        course = _Course()
        missing = self._fetch(
            patient_id, RetrievalPlan((), tuple(objects), tuple(objects), frozenset()), course
        )
        self._note_away(course, gone=bool(missing) and len(missing) == len(objects))
        return Retrieval(
            patient_id, None, missing=tuple(missing), failures=tuple(self._causes(missing, course))
        )

    def _note_away(self, course: _Course, *, gone: bool) -> None:
        """Count patients in a row of whom nothing came since the connection was lost."""
        if course.troubles and gone:
            self._away, self._away_reason = self._away + 1, next(iter(course.troubles))
        else:
            self._away = 0

    def _wants(self, item: FoundObject, held_uids: Collection[str]) -> bool:
        """Whether an object belongs to what `[census] modalities` selects.

        What the query calls an object is only the peer's word: one that is held stays under watch whatever its
        modality is said to be now, and one without a modality might be of any.
        """
        wanted, modality = self._config.census.modalities, item.key.modality
        return not wanted or not modality or modality in wanted or safe_name(item.key.sop_uid) in held_uids

    def _fetch(self, patient_id: PatientID, todo: RetrievalPlan, course: _Course) -> list[FoundObject]:
        """Ask for what is due, then again for what did not come; returns what still is missing."""
        self._transfer.expect({item.sop_class_uid for item in todo.due})
        self._ask(
            patient_id, [*todo.series_moves, *instance_moves(todo.instance_moves, self._at_once)], course
        )
        missing = self._missing(patient_id, todo.due)
        if course.troubles and 0 < len(missing) < len(
            todo.due
        ):  # one object may be what the ROIS breaks on: the others must not wait behind it
            self._ask(patient_id, instance_moves(missing, 1), course)
            missing = self._missing(patient_id, missing)
        for attempt in range(self._config.retrieve.retries):
            if not missing:
                return []
            self._sleep(self._config.retrieve.backoff * 2**attempt)
            missing = self._missing(patient_id, missing)  # it may have come late
            missing.sort(key=lambda item: item.key.sop_uid in course.broke_on)
            self._ask(patient_id, instance_moves(missing, 1), course)
            missing = self._missing(patient_id, missing)
        return missing

    def _ask(self, patient_id: PatientID, moves: Iterable[Move], course: _Course) -> None:
        in_a_row = 0
        for move in moves:
            try:
                status = self._transfer.request(patient_id, move)
            except PeerError as error:
                self._transfer.connection.drop()
                course.troubles[str(error)] = None
                course.broke_on.update(move.sop_uids)
                in_a_row += 1
                if in_a_row == BREAKS_IN_A_ROW or not self._inbox.arrived(patient_id):
                    return
                continue
            in_a_row = 0
            if status != 0:
                course.statuses[status] = None

    def _missing(self, patient_id: PatientID, due: Collection[FoundObject]) -> list[FoundObject]:
        arrived = self._inbox.arrived(patient_id)
        return [item for item in due if safe_name(item.key.sop_uid) not in arrived]

    def _causes(self, missing: Collection[FoundObject], course: _Course) -> Iterator[Failure]:
        """Why something may be missing, as far as anybody said."""
        if not missing:
            return
        for trouble in course.troubles:
            yield Failure("", trouble)
        for status in course.statuses:
            known = _STATUS if self._transfer.operation == MOVE else {}  # C-GET needs no receiver
            text = known.get(status, "see its log for the objects that it could not send")
            yield Failure(
                "", f"a C-{self._transfer.operation.upper()} ended with status 0x{status:04X}: {text}"
            )
        for remark in self._transfer.remarks():
            yield Failure("", f"during this run the receiver refused: {remark}")
