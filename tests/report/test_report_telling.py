"""The words of a report: its light, who must look, and one line for a patient."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from vault.compare.groups import grouped
from vault.model import Anomaly, AttributeChange, Change, Failure, Finding
from vault.report import telling
from vault.report.changes import Answers, PatientChanges, RunReport
from vault.report.html import html
from vault.report.text import text

PLAN = Change(
    "dicom/RTPLAN/1/1.dcm",
    "changed",
    "RTPLAN",
    "PROSTATE",
    "critical",
    (),
    (Finding("critical", "MU 1 → 2"),),
)
RECORD = Change("dicom/RTRECORD/2/2.dcm", "added", "RTRECORD", "treatment 2026-11-24, fraction 6", "routine")
SCHEDULE = Change("database/schedule.txt", "changed", "", "schedule", "routine")


def patient(
    *changes: Change, patient_id: str = "A", old: str | None = "0" * 40, **more: object
) -> PatientChanges:
    groups = tuple(grouped(changes))
    return PatientChanges(patient_id, "abcd", "Demo, Anna", old, "1" * 40, changes, groups=groups, **more)  # type: ignore[arg-type]


def report(*patients: PatientChanges, **more: object) -> RunReport:
    began = datetime(2026, 11, 25, 2, tzinfo=UTC)
    return RunReport("20261125T020000Z-0001", began, "Site", None, patients, **more)  # type: ignore[arg-type]


def of(severity: str) -> PatientChanges:
    return patient(Change("dicom/CT/1/1.dcm", "changed", "CT", "x", severity))


@pytest.mark.parametrize(
    ("told", "colour", "word"),
    [
        (report(), "green", "NOTHING CHANGED"),
        (report(of("routine")), "green", "ROUTINE"),
        (report(of("minor")), "green", "NOTHING SERIOUS"),
        (report(of("administrative")), "green", "NOTHING SERIOUS"),
        (report(of("major"), of("routine")), "amber", "LOOK"),
        (report(of("critical"), of("major")), "red", "STOP AND LOOK"),
        (report(of("routine"), failed=(Failure("", "no route"),)), "amber", "LOOK"),
        (report(patient(failed=(Failure("", "damaged"),))), "amber", "LOOK"),
        (report(of("routine"), anomalies=(Anomaly("share", "major", "odd"),)), "amber", "LOOK"),
        (report(of("minor"), anomalies=(Anomaly("share", "critical", "a third encrypted"),)), "red", "ALARM"),
        (report(patient(anomalies=(Anomaly("", "critical", "two names"),))), "red", "ALARM"),
        (report(patient(gaps=(Failure("CT", "never came"),))), "green", "NOTHING CHANGED"),
    ],
)
def test_the_light(told: RunReport, colour: str, word: str) -> None:
    light = telling.light(told)
    assert (light.colour, light.word) == (colour, word)


def test_what_could_not_be_compared_is_not_said_to_be_unchanged() -> None:
    damaged = patient(failed=(Failure("", "damaged"),))
    told = report(damaged, of("minor"), unchanged=3, failed=(Failure("share", "away"),))
    said = telling.light(told).sentence
    assert (
        said
        == "No critical or major change was found, but 1 of 5 patients could not be compared, or not wholly."
    )
    assert (told.asked, len(told.changed), told.nothing_new, told.unknown) == (5, 1, 3, 1)
    assert "3 with nothing new; 1 of whom nobody knows what changed, since something failed" in text(told)
    assert "<dt>nothing new</dt><dd>3</dd>" in html(told).decode()
    assert "<dt>not known, since something failed</dt><dd>1</dd>" in html(told).decode()
    assert "not known" not in text(report(of("minor")))


def test_what_failed_beside_the_patients_is_said() -> None:
    said = telling.light(report(failed=(Failure("share", "away"),))).sentence
    assert said == "No critical or major change was found, but not everything went as it should."


def test_green_says_what_is_missing() -> None:
    lacking = patient(gaps=(Failure("CT", "never came"),))
    assert telling.light(report(lacking)).sentence == (
        "No patient has anything new. Of 1 patient, something that should be in the vault is missing."
    )
    assert telling.light(report(of("minor"))).sentence == "No critical and no major change."


def test_who_is_asked_to_answer() -> None:
    assert telling.answers(report(of("minor"))) == ""
    asked = report(of("minor"), answers=Answers(2, time(10)))
    assert telling.answers(asked).startswith("2 different people have to confirm this by 10:00")
    assert "`vault verify accept 20261125T020000Z-0001 --as NAME`" in telling.answers(asked)
    assert telling.answers(report(of("minor"), answers=Answers(1, time(9)))).startswith("One person has to")
    assert telling.answers(asked) in text(asked)
    page = html(asked).decode()
    assert "2 different people have to confirm this by 10:00" in page
    assert "<code>vault verify accept 20261125T020000Z-0001 --as NAME</code>" in page


def test_a_deadline_of_another_day_says_which() -> None:
    late = report(of("minor"), answers=Answers(2, time(10)))
    late = replace(late, began=datetime(2026, 11, 25, 14, 30, tzinfo=UTC))
    assert "to confirm this by 10:00 on Thursday, 26 November 2026, or dispute it" in telling.answers(late)
    sharp = replace(late, began=datetime(2026, 12, 31, 10, tzinfo=UTC))
    assert "by 10:00 on Friday, 1 January 2027," in telling.answers(sharp)


def test_of_whom_an_anomaly_is_alone_is_neither_missing_nor_failed() -> None:
    odd = [
        patient(patient_id=f"P{number}", anomalies=(Anomaly("", "critical", "two names", "the wristband"),))
        for number in range(8)
    ]
    assert [telling.badge(each) for each in odd] == ["critical"] * 8
    said = text(report(*odd))
    assert "missing" not in said
    assert said.count("as if nobody meant it: two names") == 8
    assert "critical  Demo, Anna (P7)" in said
    page = html(report(*odd)).decode()
    assert '<span class="badge failed">' not in page
    assert telling.badge(patient(failed=(Failure("", "x"),))) == "failed"
    assert telling.badge(patient(gaps=(Failure("", "x"),))) == "missing"
    assert telling.badge(of("minor")) == "minor"


def test_who_must_look_at_what() -> None:
    one, two, three = of("critical"), of("routine"), of("critical")
    assert telling.looks(report(one, three, two)) == [("critical", [one, three]), ("routine", [two])]


def test_headlines() -> None:
    assert telling.headline(patient(PLAN, RECORD)) == "plan PROSTATE: MU 1 → 2"
    assert telling.headline(patient(PLAN, old=None)) == "new in the vault: changed: plan PROSTATE"
    assert telling.headline(patient(failed=(Failure("", "damaged"),))) == "damaged"
    assert (
        telling.headline(patient(gaps=(Failure("CT", "never came"),)))
        == "something is missing, nothing changed"
    )


def test_a_headline_says_how_much_else_is_as_grave() -> None:
    two = replace(
        PLAN, findings=(*PLAN.findings, Finding("critical", "fractions"), Finding("minor", "label"))
    )
    other = replace(PLAN, path="dicom/RTPLAN/1/2.dcm", findings=())
    assert telling.headline(patient(two)) == "plan PROSTATE: MU 1 → 2; and 1 more as grave"
    assert telling.headline(patient(two, other)) == "plan PROSTATE: MU 1 → 2; and 2 more as grave"


def test_a_headline_of_what_changed_alike_tells_the_gravest() -> None:
    differ = tuple(AttributeChange(f"A{n}", f"A{n}", "", "LO", "1", "2") for n in range(8))
    alike = [replace(PLAN, path=f"dicom/RTPLAN/1/{n}.dcm", attributes=differ) for n in (1, 2)]
    assert telling.headline(patient(*alike)) == "2 plans: MU 1 → 2"


def test_many_changes_in_a_line() -> None:
    line = telling.contents(patient(RECORD, SCHEDULE).groups)
    assert line == "new: treatment record 2026-11-24, fraction 6; changed: database: schedule"
    images = [Change(f"dicom/CT/1/{n}.dcm", "added", "CT", f"scan, image {n}", "routine") for n in range(30)]
    (group,) = patient(*images).groups
    assert telling.subject(group) == "30 CT images"
    assert telling.contents([group]) == "new: 30 CT images"


def test_the_command_can_be_pasted() -> None:
    hostile = patient(PLAN, patient_id="A; rm -rf $HOME")
    assert telling.diff_command(hostile).startswith("vault diff 'A; rm -rf $HOME' 0000000000 1111111111 ")
    assert telling.diff_command(patient(PLAN, old=None)) == "vault log A"
    option = patient(PLAN, patient_id="--html=x")
    assert telling.diff_command(option) == "vault diff --attributes -- --html=x 0000000000 1111111111"
    assert telling.diff_command(replace(option, old=None)) == "vault log -- --html=x"


def test_what_is_said_of_many_is_said_once() -> None:
    attack, other = Anomaly("", "major", "part of an attack"), Anomaly("", "major", "two birth dates")
    many = [patient(patient_id=f"P{number}", anomalies=(attack,)) for number in range(9)]
    whole = Anomaly("share", "critical", "a third of all documents")
    told = telling.anomalies(report(*many, patient(anomalies=(other,)), anomalies=(whole,)))
    assert [(len(patients), each) for patients, each in told] == [(0, whole), (9, attack), (1, other)]
    assert telling.whom(told[1][0]).endswith("Demo, Anna (P5) and 3 more: ")
    assert telling.whom(()) == ""
