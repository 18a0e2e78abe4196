"""One patient's night, counted from a real history."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from history_kit import History

from vault.compare.anomaly.counts import Tally
from vault.compare.anomaly.tally import tally
from vault.compare.rules import load
from vault.model import PatientOutcome

PLAN, OTHER_PLAN = "dicom/RTPLAN/1.2/1.2.1", "dicom/RTPLAN/1.2/1.2.2"
STRUCTURES = "dicom/RTSTRUCT/1.3/1.3.1"
RECORD = "dicom/RTRECORD/1.4/1.4.{}"
CT = "dicom/CT/1.9/1.9.{}"
PAPER = "documents/7-1/plan.pdf"
NOISE = random.Random(3).randbytes(3000)


def form(
    *lines: str, name: str = "Doe^Anna", born: str = "19480229", when: str = "20261120", status: str = ""
) -> bytes:
    text = [
        "normal-form 1",
        f'PatientName PN "{name}"',
        'PatientID LO "4711"',
        f'PatientBirthDate DA "{born}"',
        f'RTPlanDate DA "{when}"',
        'RTPlanTime TM "001700"',
        *lines,
    ]
    return "\n".join([*text, *([f'ApprovalStatus CS "{status}"'] if status else []), ""]).encode()


def beams(meterset: int) -> str:
    return f"FractionGroupSequence[1].ReferencedBeamSequence[1].BeamMeterset DS {meterset}"


def filed(path: str, text: bytes) -> dict[str, bytes | None]:
    return {f"{path}.dcm": b"DICM" + text, f"{path}.txt": text}


def rows(stamp: str, status: str = "TreatApproval", fractions: int = 30, uid: str = "1.2.1") -> bytes:
    return "\n".join(
        [
            "normal-form 1",
            f'plans[1].fractions_planned UT "{fractions}"',
            f'plans[1].plan_uid UT "{uid}"',
            f'plans[1].status UT "{status}"',
            f'plans[1].stamp.changed_at UT "{stamp}"',
            "",
        ]
    ).encode()


def paper(
    text: str, *, approved: bool = True, stamp: str = "2026-11-20T09:00:00", read: bool = True
) -> bytes:
    said = f'text UT "{text}"' if read else "(unread) UN 30 bytes sha256:00 (no format that the vault knows)"
    return "\n".join(
        [
            "normal-form 1",
            *(['record.approved UT "2026-11-20T10:00:00"'] if approved else []),
            f'stamp.changed_at UT "{stamp}"',
            said,
            "",
        ]
    ).encode()


def document(content: bytes, record: bytes) -> dict[str, bytes | None]:
    return {PAPER: content, "documents/7-1/record.txt": record}


PDF = b"%PDF-1.4\n" + b"consent " * 40
WHO = {"patient.json": json.dumps({"patient": {"name": "Doe^Anna", "birth_date": "19480229"}}).encode()}


class Night:
    """A history whose first night holds a little of everything."""

    def __init__(self, folder: Path) -> None:
        self.history = History(folder / "root")
        self.held: dict[str, bytes | None] = {
            **filed(PLAN, form(beams(100), status="APPROVED")),
            **filed(STRUCTURES, form()),
            **filed(RECORD.format(1), form()),
            **{path: data for n in range(3) for path, data in filed(CT.format(n), form()).items()},
            **document(PDF, paper("I agree")),
            "database/plans.txt": rows("2026-11-20T15:00:00"),
            **WHO,
        }
        self.old = self.history.night(self.held)

    def after(self, edits: dict[str, bytes | None]) -> Tally:
        new = self.history.night(edits)
        outcome = PatientOutcome(old_commit=self.old, new_commit=new)
        for path, data in edits.items():
            if path.endswith(".txt") and not path.startswith("database/"):
                continue
            kind = "removed" if data is None else "changed" if path in self.held else "added"
            getattr(outcome, kind).append(path)
        return tally(self.history.repository, outcome, load())


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_patient_who_is_new_or_the_same_counts_for_nothing(night: Night) -> None:
    repository = night.history.repository
    assert tally(repository, PatientOutcome(), load()) == Tally(known=False)
    assert tally(repository, PatientOutcome(new_commit=night.old), load()) == Tally(known=False)
    assert tally(repository, PatientOutcome(old_commit=night.old, new_commit=night.old), load()) == Tally()


def test_what_ordinary_nights_bring_counts_for_nothing(night: Night) -> None:
    found = night.after(
        {
            **filed(RECORD.format(2), form()),
            **filed("dicom/RTIMAGE/1.5/1.5.1", form(name="DOE^ANNA^^")),
            "documents/8/note.rtf": b"{\\rtf1 well}",
            "documents/8/record.txt": paper("well"),
            "database/plans.txt": rows("2026-11-24T15:00:00"),
        }
    )
    assert found == Tally(held=7)


def test_a_plan_changed_past_the_application(night: Night) -> None:
    found = night.after(filed(PLAN, form(beams(120), status="APPROVED")))
    assert (found.changed, found.unstamped, found.withdrawn, found.edits) == (1, 1, 0, ())


def test_a_plan_changed_in_the_application_moves_its_stamp(night: Night) -> None:
    found = night.after(
        {
            **filed(PLAN, form(beams(120), status="APPROVED", when="20261124")),
            "database/plans.txt": rows("2026-11-24T00:17:00", fractions=31),
        }
    )
    assert (found.changed, found.unstamped, found.edits) == (1, 0, ("2026-11-24T00:17:00",))


def test_where_the_database_knows_no_such_plan_nothing_is_said_of_its_stamp(night: Night) -> None:
    night.held["database/plans.txt"] = rows("2026-11-20T15:00:00", uid="9.9")
    night.old = night.history.night({"database/plans.txt": rows("2026-11-20T15:00:00", uid="9.9")})
    assert night.after(filed(PLAN, form(beams(120), status="APPROVED"))).unstamped == 0


def test_a_structure_set_goes_by_the_stamps_of_all_plans(night: Night) -> None:
    edited = filed(STRUCTURES, form('StructureSetROISequence[1].ROIName LO "PTV"'))
    assert night.after(edited).unstamped == 1
    moved = {**filed(STRUCTURES, form()), "database/plans.txt": rows("2026-11-24T09:00:00", fractions=31)}
    assert night.after({**edited, **moved, **edited}).unstamped == 0


def test_what_every_object_says_moves_no_stamp(night: Night) -> None:
    found = night.after(filed(PLAN, form(beams(100), status="APPROVED", name="Roe^Anna")))
    assert (found.changed, found.unstamped, found.identity) == (1, 0, 1)


@pytest.mark.parametrize(
    ("edits", "withdrawn"),
    [
        (filed(PLAN, form(beams(100), status="UNAPPROVED")), 1),
        (filed(PLAN, form(beams(100))), 1),
        ({"database/plans.txt": rows("2026-11-24T15:00:00", status="Unapproved")}, 1),
        ({"database/plans.txt": rows("2026-11-24T15:00:00", status="Retired")}, 0),
        (document(PDF, paper("I agree", approved=False)), 1),
    ],
)
def test_approvals_withdrawn(night: Night, edits: dict[str, bytes | None], withdrawn: int) -> None:
    assert night.after(edits).withdrawn == withdrawn


def test_an_encrypted_document(night: Night) -> None:
    found = night.after(document(NOISE, paper("", read=False)))
    assert (found.unreadable, found.misnamed, found.changed) == (1, 1, 1)
    assert found.edits == ("2026-11-20T09:00:00",)


def test_a_document_that_lost_its_text_but_kept_its_first_bytes(night: Night) -> None:
    found = night.after(document(b"%PDF-1.4\n" + NOISE, paper("", read=False)))
    assert (found.unreadable, found.misnamed) == (1, 0)


def test_a_document_that_was_renamed(night: Night) -> None:
    renamed = {PAPER: None, f"{PAPER}.locked": NOISE, "documents/7-1/record.txt": paper("", read=False)}
    assert night.after(renamed).misnamed == 1


def test_a_document_that_is_signed_is_no_edit(night: Night) -> None:
    signed = paper("I agree", stamp="2026-11-24T09:00:00")
    assert night.after(document(PDF, signed)).edits == ()


def test_what_vanished(night: Night) -> None:
    gone = {**dict.fromkeys(filed(CT.format(0), b"")), PAPER: None, "documents/7-1/record.txt": None}
    found = night.after(gone)
    assert (found.vanished, found.held, found.new_uids) == (2, 7, False)


def test_another_patients_objects(night: Night) -> None:
    assert night.after(filed(CT.format(9), form(name="Roe^Berta"))).identity == 1
    assert night.after(filed(CT.format(10), form(born="20010101"))).identity == 1


def test_everything_under_new_uids(night: Night) -> None:
    gone = [PLAN, STRUCTURES, *(CT.format(n) for n in range(3))]
    edits = {key: None for path in gone for key in filed(path, b"")}
    for path in gone:
        edits |= filed(path.replace("/1.", "/2."), form())
    found = night.after(edits)
    assert (found.new_uids, found.vanished) == (True, 5)


def test_hostile_content_is_counted_and_stops_nothing(night: Night) -> None:
    found = night.after(
        {
            **filed(PLAN, b"normal-form 1\n\xff\xfe ApprovalStatus\n" + b"x" * 5000),
            **document(b"", b"\x00"),
            "database/plans.txt": b"\xff[[[",
            "patient.json": b"[]",
        }
    )
    assert found.changed == 2
    night.old = night.history.repository.tip()
    assert night.after(filed(CT.format(11), form(name="Roe^Berta"))).identity == 0  # nobody says who it was
