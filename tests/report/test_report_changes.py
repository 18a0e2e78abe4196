"""The model of a run's report: from the ledger and the repositories, and from nothing else."""

from __future__ import annotations

import shutil
from datetime import time
from pathlib import Path

import pytest
from run_kit import Department, files, plan, record, who

from vault.errors import UsageError
from vault.model import Failure
from vault.names import safe_name
from vault.report import changes
from vault.report.accounts import Account, PatientAccount, keep_account
from vault.report.changes import Answers, diff_report, run_report

PLAN = "RTPLAN/1.2/1.2.1"


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return Department(tmp_path / "site")


def two_nights(department: Department) -> dict[str, tuple[str | None, str | None]]:
    """Four patients: a plan that somebody changed, a new record, nothing, and one who is new."""
    a, b, c, d = (department.patient(name) for name in "ABCD")
    steps: dict[str, tuple[str | None, str | None]] = {}
    first = a.night({**files(PLAN, plan()), **who("Demo^Anna")})
    steps["A"] = (first, a.night(files(PLAN, plan(meterset="120"))))
    first = b.night({**files(PLAN, plan()), **who("Demo^Bea")})
    steps["B"] = (first, b.night(files("RTRECORD/1.3/1.3.1", record(1))))
    first = c.night({**files(PLAN, plan()), **who("Demo^Carl")})
    steps["C"] = (first, first)
    steps["D"] = (None, d.night({**files(PLAN, plan()), **who("Demo^Dora")}))
    return steps


def test_a_run_told_worst_first(department: Department) -> None:
    name = department.run(two_nights(department))
    report = run_report(department.config)
    assert (report.run, report.site, report.unchanged) == (name, "Test department", 1)
    assert [patient.patient_id for patient in report.patients] == ["A", "D", "B"]
    a, d, b = report.patients
    assert (a.name, a.birth_date, a.severity, a.routine) == ("Demo, Anna", "1948-02-29", "critical", False)
    assert a.pseudonym == department.pseudonyms.of("A")
    assert [change.kind for change in a.changes] == ["changed"]
    (line,) = a.lines["dicom/RTPLAN/1.2/1.2.1.dcm"].shown
    assert line.endswith("BeamMeterset: 100 → 120")
    assert d.is_new
    assert b.routine
    assert report.by_severity() == {
        "critical": 1,
        "major": 0,
        "minor": 1,
        "administrative": 0,
        "routine": 1,
    }
    assert report.began.isoformat() == "2026-11-25T02:00:00+01:00"
    assert report.ledger_head == department.ledger.head()
    assert report == run_report(department.config, name[:13])


def test_a_later_event_does_not_change_the_report(department: Department) -> None:
    steps = two_nights(department)
    name = department.run(steps)
    before = run_report(department.config)
    department.run({patient: (new, new) for patient, (_, new) in steps.items() if patient != "D"}, number=2)
    assert run_report(department.config, name) == before
    later = run_report(department.config, "latest")
    assert (later.patients, later.unchanged) == ((), 3)
    assert later.census is not None
    assert (later.census.named, later.census.gone) == (3, ("D",))


def test_an_unknown_run_is_a_usage_error(department: Department) -> None:
    with pytest.raises(UsageError, match="no run yet"):
        run_report(department.config)
    first = department.run({})
    department.run({}, number=2)
    with pytest.raises(UsageError, match="no run '1999'"):
        run_report(department.config, "1999")
    with pytest.raises(UsageError, match="More than one run"):
        run_report(department.config, "202611")
    with pytest.raises(UsageError, match="no run ''"):
        run_report(department.config, "")
    assert run_report(department.config, first).run == first


def test_what_a_later_run_finished_belongs_to_the_run(department: Department) -> None:
    steps = two_nights(department)
    name = department.run({"A": steps["A"], "B": (steps["B"][0], None)}, entry={"complete": False})
    department.run({"B": steps["B"]}, name=f"{name}.2")
    report = run_report(department.config, name)
    assert [patient.patient_id for patient in report.patients] == ["A", "B"]
    assert report.patients[1].new == steps["B"][1]


def test_a_damaged_repository_is_said_and_stops_nobody(department: Department) -> None:
    steps = two_nights(department)
    department.run(steps)
    for pack in (department.folder / "repos" / "A.git" / "objects").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        data[12:-20] = bytes(len(data) - 32)
        pack.unlink()  # whoever has it mapped keeps what was there
        pack.write_bytes(data)
    shutil.rmtree(department.folder / "repos" / f"{safe_name('D')}.git")
    report = run_report(department.config)
    told = {patient.pseudonym: patient for patient in report.patients}
    a, b, d = (told[department.pseudonyms.of(patient)] for patient in "ABD")
    assert b.routine
    assert a.failed
    assert "what changed" in a.failed[0].reason
    assert (d.patient_id, d.changes) == ("", ())
    assert "pruned since, or it is damaged" in d.failed[0].reason
    (department.folder / "repos" / "B.git" / "config").write_text("")
    (said,) = run_report(department.config).failed
    assert said.subject == "repository B.git"


def test_the_account_says_what_the_ledger_only_counts(department: Department) -> None:
    steps = two_nights(department)
    same = {"C": steps["C"]}
    name = department.run(same, entry={"failed": 1, "gaps": 2, "anomalies": 1}, failed=1)
    (counted,) = run_report(department.config).patients
    assert "one thing failed" in counted.failed[0].reason
    assert "2 things should be in the vault" in counted.gaps[0].reason
    assert "one thing looked" in counted.anomalies[0].text
    failure, gap = Failure("RTPLAN 1.2", "the ROIS refused it"), Failure("CT 1.3", "never arrived")
    account = PatientAccount((failure,), (gap,), ("another patient's birth date",))
    whole = Account({department.pseudonyms.of("C"): account}, (Failure("retrieval", "no route"),))
    keep_account(department.config.vault.root, name, whole)
    report = run_report(department.config)
    (told,) = report.patients
    assert (told.failed, told.gaps) == ((failure,), (gap,))
    assert told.anomalies[0].text == "another patient's birth date"
    assert report.failed == (Failure("retrieval", "no route"),)
    (department.config.vault.root / "reports" / name / "account.json").write_bytes(b"{")
    assert run_report(department.config).patients == (counted,)


def test_it_asks_for_answers_where_somebody_is_asked(department: Department) -> None:
    steps = two_nights(department)
    department.run(steps)
    assert run_report(department.config).answers is None
    toml = department.folder / "vault.toml"
    people = "".join(
        f'[[mail.recipients]]\nname = "{name}"\naddress = "{name}@example.com"\n' for name in ("anna", "bea")
    )
    mail = f'\n[mail]\nfrom = "vault@example.com"\nmaildir = "out"\nanswers = "in"\n{people}'
    toml.write_text(toml.read_text("utf-8") + mail, "utf-8")
    assert run_report(department.config).answers == Answers(2, time(10))
    department.run({"C": steps["C"]}, number=2)
    assert run_report(department.config).answers is None


def test_two_commits_of_a_patient(department: Department) -> None:
    old, new = two_nights(department)["A"]
    repository = department.histories["A"].repository
    assert new
    report = diff_report(department.config, repository, old, new)
    assert (report.run, report.severity, report.unchanged) == ("", "critical", 0)
    same = diff_report(department.config, repository, new, new)
    assert (same.patients, same.severity, same.unchanged) == ((), None, 1)


def test_large_changes_are_bounded(department: Department, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LINES", 2)
    history = department.patient("A")
    history.night(files(PLAN, plan()))
    old = history.repository.tip()
    many = "\n".join(f"BeamSequence[1].ControlPointSequence[{n}].GantryAngle DS {n}" for n in range(5))
    long = "X" * 5000
    form = b"%s%s\nRTPlanDescription ST %s\n" % (plan(), many.encode(), long.encode())
    new = history.night(files(PLAN, form))
    (patient,) = diff_report(department.config, history.repository, old, new).patients
    (change,) = patient.changes
    assert len(change.attributes) == 2
    assert len(patient.lines[change.path].shown) == 2
    assert patient.lines[change.path].more == 4
    assert all(len(one.new or "") <= changes.LONGEST_VALUE for one in change.attributes)
