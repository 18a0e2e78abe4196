"""The hourly run against a ROIS with a database: what was treated today is kept within one run, once."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import databases
import pypdfium2
import pyrage
import pytest
from hour_kit import DAY, PATIENTS, ZONE, Day, at, day

import vault.hourly_commit
from cli.hourly_text import render
from vault.archive.hours import Hours, path
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.archive.signing import allowed_keys
from vault.archive.stage import objects_in
from vault.errors import ExitCode, LockedError
from vault.events import hookimpl, plugin_manager
from vault.hourly_check import unmatched_of
from vault.hourly_report import HourlyReport
from vault.lock import run_lock
from vault.status import status
from vault.sync_report import SyncReport

ANNA, BERTA, CARLA = PATIENTS

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        bool(databases.missing_sqlite()), reason=databases.missing_sqlite() or "SQLite is there"
    ),
]


def text(document: bytes | None) -> str:
    assert document
    return " ".join(
        page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(io.BytesIO(document))
    )


def overview(running: Day) -> tuple[Overview, str]:
    repository = Overview.open(running.vault.config.vault.root)
    assert repository
    tip = repository.tip("hourly")
    assert tip
    return repository, tip


def department(running: Day) -> str:
    repository, tip = overview(running)
    return text(repository.read(repository.tree(tip)[path(DAY, "department.pdf")]))


class Witness:
    """Notes what is announced."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def network_open(self) -> None:
        self.seen.append("open")

    @hookimpl
    def network_close(self) -> None:
        self.seen.append("close")

    @hookimpl
    def commit_made(self, patient_id: str) -> None:
        self.seen.append(patient_id)

    @hookimpl
    def run_finished(self, report: dict[str, object]) -> None:
        self.seen.append(f"finished {report['day']}")


# --- one ordinary day, told once and looked at from many sides


class Story:
    """A night; one fraction in full and one cut short; an hour; another without anything new; the night after."""

    def __init__(self, running: Day) -> None:
        self.day = running
        self.root = running.vault.config.vault.root
        self.witness, events = Witness(), plugin_manager()
        events.register(self.witness)
        self.before: SyncReport = running.night(at(2))
        running.treat(ANNA, 8, 10)
        running.treat(BERTA, 8, 40, record=False, delivered_mu="10", termination="MACHINE", override="1")
        self.held = objects_in(self._main(ANNA))
        self.first: HourlyReport = running.hour(at(9), events=events)
        self.tips = self.heads()
        self.again: HourlyReport = running.hour(at(10))
        self.after_again = self.heads()
        self.after: SyncReport = running.night(at(23))

    def heads(self) -> list[str | None]:
        return [
            *(self.day.kept(patient)[1].tip for patient in (ANNA, BERTA)),
            overview(self.day)[1],
        ]

    def _main(self, patient: object) -> dict[str, str]:
        repository, _ = self.day.kept(patient)  # type: ignore[arg-type]
        return repository.tree(repository.tip())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with day(tmp_path_factory.mktemp("story"), retrieve="move") as running:
        yield Story(running)


def test_the_first_fraction_after_the_night_is_kept_within_one_hour(story: Story) -> None:
    assert story.before.exit_code == 0
    assert story.first.exit_code == 0, render(story.first)
    outcome = story.first.patients[ANNA.patient_id]
    assert (outcome.fields, outcome.records, outcome.findings, outcome.failed) == (2, 1, [], [])
    _, held = story.day.kept(ANNA)
    names = {path(DAY, name) for name in ("rows.json", "rows.txt", "treatments.pdf")}
    assert names <= set(held.tree)
    record = f"records/{ANNA.uid('record', ANNA.delivered + 1)}"
    assert [name for name in held.tree if "/records/2" in name] == [
        path(DAY, f"{record}.dcm"),
        path(DAY, f"{record}.txt"),
    ]
    page = text(held.pdf(DAY))
    assert f"Fraction {ANNA.delivered + 1} of {ANNA.site.fractions}" in page
    assert f"{ANNA.delivered + 1} of {ANNA.site.fractions}" in page
    assert "As of 2026-11-25 09:00 CET" in page


def test_the_night_after_has_it_once(story: Story) -> None:
    assert story.after.exit_code == 0
    record = f"{ANNA.uid('record', ANNA.delivered + 1)}.dcm"
    (new,) = story.after.patients[ANNA.patient_id].added
    assert new.endswith(f"/{record}")
    repository, held = story.day.kept(ANNA)
    tree = repository.tree(repository.tip())
    assert sorted(objects_in(tree)) == sorted([*story.held, new])
    assert held.tree[path(DAY, f"records/{record}")] == tree[new]
    assert story.heads() == story.tips


def test_nothing_new_is_no_commit(story: Story) -> None:
    assert story.again.exit_code == 0
    assert story.again.treated == 2
    assert not any(outcome.new for outcome in story.again.patients.values())
    assert story.again.overview is None
    assert story.after_again == story.tips
    assert story.again.delivered.sent == 2  # the ledger's event, and the manifest that has it
    assert "0 with something new" in render(story.again)


def test_the_department_sees_who_was_treated_who_is_due_and_what_was_cut_short(story: Story) -> None:
    said = department(story.day)
    assert said.index("Needs attention") < said.index("PARTIAL, OVERRIDE") < said.index("Treated")
    assert "Demo, Albert" in said
    due = said[said.index("Due today, no treatment seen") :]
    assert "030 12345" in due
    assert CARLA.patient_id in due
    assert ANNA.patient_id not in due
    assert f"  {BERTA.patient_id}  2 fields delivered" in render(story.first)


def test_todays_pages_lie_ready_to_print(story: Story) -> None:
    folder = story.first.folder
    assert folder == story.root / "today/2026-11-25"
    assert {page.name for page in folder.iterdir()} == {
        "department.pdf",
        f"{ANNA.patient_id}.pdf",
        f"{BERTA.patient_id}.pdf",
    }
    assert text((folder / "department.pdf").read_bytes()) == department(story.day)
    assert {page.stat().st_mode & 0o777 for page in folder.iterdir()} == {0o600}


def test_everything_is_on_the_share_and_no_name_of_a_file_says_anything(story: Story) -> None:
    assert story.first.delivered.sent > 6
    assert story.first.delivered.failed == []
    share = story.day.vault.share
    names = [file.relative_to(share).as_posix() for file in share.rglob("*.age")]
    allowed = r"v1/(blobs|history|ledger)/[0-9a-f]{64}\.age|v1/manifests/[0-9a-f-]{43}\.age"
    assert [name for name in names if not re.fullmatch(allowed, name)] == []
    secret = (story.day.vault.folder / "keys/identity.txt").read_text().splitlines()[-1]
    identity = pyrage.x25519.Identity.from_str(secret)
    plain = {pyrage.decrypt(file.read_bytes(), [identity]) for file in share.rglob("*.age")}
    repository, held = story.day.kept(ANNA)
    assert {repository.read(oid) for oid in held.tree.values()} <= plain
    summary, tip = overview(story.day)
    assert {summary.read(oid) for oid in summary.tree(tip).values()} <= plain


def test_stock_git_reads_and_verifies_it(story: Story, tmp_path: Path) -> None:
    allowed = allowed_keys(story.root / "keys/allowed_signers")
    for repository in (story.day.kept(ANNA)[0], overview(story.day)[0]):
        tip = repository.tip("hourly")
        assert tip
        repository.verify_commit(tip, allowed)
        for arguments in (["fsck", "--strict"], ["verify-commit", "hourly"]):
            subprocess.run(["git", "-C", repository.path, *arguments], check=True, capture_output=True)
    clone = ["git", "clone", "-q", "-b", "hourly", story.day.kept(ANNA)[0].path, tmp_path / "checkout"]
    subprocess.run(clone, check=True)
    sums = "find . -name SHA256SUMS -execdir sha256sum --quiet -c {} +"
    subprocess.run(["bash", "-c", sums], cwd=tmp_path / "checkout", check=True)


def test_the_ledger_has_the_runs_and_no_patient(story: Story) -> None:
    runs = list(Ledger(story.root).events("hourly"))
    assert [run["procedure"] for run in runs] == ["hourly", "hourly"]
    assert len(list(Ledger(story.root).events("runs"))) == 2
    assert ANNA.patient_id not in json.dumps(runs)
    found = status(story.day.vault.config)
    assert found.last_run
    assert found.last_hour
    assert (found.last_run["procedure"], found.last_hour["treated"]) == ("sync", 2)
    said = story.day.vault.command("status").stdout
    assert "Last hour  2026-11-25 10:00: 2 patients treated that day, 0 with something new" in said


def test_the_network_is_closed_while_the_vault_works(story: Story) -> None:
    committed = [ANNA.patient_id, BERTA.patient_id]
    assert story.witness.seen == [
        "close",
        "open",
        "close",
        *committed,
        "open",
        "close",
        "finished 2026-11-25",
    ]


def test_at_night_a_treatment_without_a_record_is_found(story: Story) -> None:
    assert unmatched_of(story.day.kept(ANNA)[0], DAY, ZONE) == []
    assert unmatched_of(story.day.kept(CARLA)[0], DAY, ZONE) == []
    found = unmatched_of(story.day.kept(BERTA)[0], DAY, ZONE)
    fraction = BERTA.delivered + 1
    assert [item.subject for item in found] == [
        f"field {name} of fraction {fraction}" for name in ("1-TANG", "2-TANG")
    ]


# --- days on which something goes wrong


@pytest.fixture
def today(tmp_path: Path) -> Iterator[Day]:
    with day(tmp_path) as running:
        yield running


def take_away(running: Day) -> Path:
    """Make the database one that can't be opened; returns where it is now."""
    assert running.emr
    away = running.emr.path.with_suffix(".away")
    running.emr.path.rename(away)
    running.emr.path.mkdir()
    return away


def test_a_nightly_run_at_work_keeps_the_hour_away(today: Day) -> None:
    with run_lock(today.vault.config.vault.root):
        with pytest.raises(LockedError, match="at work"):
            today.hour(at(9))
        done = today.vault.command("hourly", "--json")
    assert done.returncode == ExitCode.LOCKED
    assert "at work" in json.loads(done.stdout)["error"]
    done = today.vault.command("hourly", "--json")  # today is not the day of the test: nobody was treated
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["treated"] == 0
    assert document["delivered"]["failed"] == document["failed"] == []


def test_a_database_that_is_away_costs_rows_and_not_the_records(today: Day) -> None:
    today.treat(ANNA, 8, 10)
    away = take_away(today)
    report = today.hour(at(9))
    assert report.exit_code == ExitCode.PARTIAL, render(report)
    assert [failure.subject for failure in report.failed] == ["database"]
    assert report.patients[ANNA.patient_id].records == 1
    assert f"Fraction {ANNA.delivered + 1}" in text(today.kept(ANNA)[1].pdf(DAY))
    assert today.emr
    today.emr.path.rmdir()
    away.rename(today.emr.path)
    later = today.hour(at(10))
    assert later.exit_code == 0
    assert later.patients[ANNA.patient_id].fields == 2


def test_paper_says_of_whom_the_database_said_nothing_at_its_hour(today: Day) -> None:
    """As of 10:00 is not true of rows of 09:00: who was treated since by what they say would be treated again."""
    today.treat(ANNA, 8, 10)
    today.hour(at(9))
    assert "said nothing" not in department(today)
    assert "said nothing" not in text(today.kept(ANNA)[1].pdf(DAY))
    today.treat(BERTA, 9, 30)
    take_away(today)
    today.hour(at(10))
    page = department(today)
    assert "As of 2026-11-25 10:00 CET" in page
    assert "The database said nothing at this hour of 2 of these patients" in page
    assert page.count("DATABASE SILENT") == 3  # said once, and of each
    assert "The database said nothing of this patient at this hour" in text(today.kept(BERTA)[1].pdf(DAY))


def test_a_rois_without_dicom_costs_records_and_not_the_rows(today: Day) -> None:
    today.treat(ANNA, 8, 10)
    today.department.faults.refuse = True
    report = today.hour(at(9))
    assert report.exit_code == ExitCode.PARTIAL
    assert [failure.subject for failure in report.failed] == ["treatment records"]
    assert (report.patients[ANNA.patient_id].fields, report.patients[ANNA.patient_id].records) == (2, 0)
    take_away(today)
    nothing = today.hour(at(10))
    assert nothing.exit_code == ExitCode.FAILED
    assert nothing.overview is None
    assert today.kept(ANNA)[1].has(DAY)


def test_without_a_database_the_records_alone_make_the_report(tmp_path: Path) -> None:
    with day(tmp_path, sql=False) as running:
        running.night(at(2))
        running.treat(ANNA, 8, 10)
        report = running.hour(at(9))
        assert report.exit_code == 0, render(report)
        page = text(running.kept(ANNA)[1].pdf(DAY))
        assert "Demo, Albert" in page
        assert f"Fraction {ANNA.delivered + 1} of {ANNA.site.fractions}" in page
        assert "rows.json" not in str(list(running.kept(ANNA)[1].tree))
        again = running.hour(at(10))
        assert again.overview is None
        assert again.treated == 1


def test_what_a_query_set_leaves_out_is_left_out(tmp_path: Path) -> None:
    with day(tmp_path, without=("plans", "schedule", "demographics")) as running:
        running.treat(CARLA, 8, 10)  # whom no night has seen
        report = running.hour(at(9))
        assert report.exit_code == 0, render(report)
        assert "Name unknown" in department(running)
        repository, _ = running.kept(CARLA)
        assert repository.tip() is None
        assert CARLA.patient_id in status(running.vault.config).patients
        tomorrow = running.hour(at(9) + timedelta(days=1))
        assert tomorrow.treated == 0
        assert not (running.vault.folder / "today/2026-11-25").exists()
        assert running.kept(CARLA)[1].pdf(DAY)


def test_a_killed_run_is_finished_by_the_next(today: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    today.treat(ANNA, 8, 10)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("commit_hour", "summarize"):
        with monkeypatch.context() as patched:
            patched.setattr(f"vault.hourly.{step}", killed)
            with pytest.raises(KeyboardInterrupt):
                today.hour(at(9))
        assert len(status(today.vault.config).unfinished_hours) == 1
        today.department.faults.refuse = True  # the next one has only what the killed one received
    take_away(today)
    report = today.hour(at(10))
    assert sum(run.patients[ANNA.patient_id].new for run in report.resumed if run.patients) == 0
    assert "As of 2026-11-25 09:00 CET" in text(today.kept(ANNA)[1].pdf(DAY))
    assert "Demo, Albert" in department(today)
    assert status(today.vault.config).unfinished_hours == []


def test_a_summary_that_a_killed_run_had_committed_gets_into_the_ledger(
    today: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    today.treat(ANNA, 8, 10)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vault.hourly.lay_out", killed)
        with pytest.raises(KeyboardInterrupt):
            today.hour(at(9))
    assert today.hour(at(10)).exit_code == ExitCode.DONE
    root = today.vault.config.vault.root
    summary = Overview.open(root)
    assert summary
    assert summary.tip("hourly") in [event["overview"] for event in Ledger(root).events("hourly")]


def test_a_history_that_the_database_rewrites_is_noticed(today: Day) -> None:
    today.treat(ANNA, 8, 10)
    today.hour(at(9))
    assert today.emr
    fraction = str(ANNA.delivered + 1)
    today.emr.run("DELETE FROM history WHERE field LIKE '1%' AND fraction = ?", [fraction])
    today.emr.run("UPDATE history SET delivered_mu = 1 WHERE fraction = '2'")
    report = today.hour(at(10))
    assert report.exit_code == ExitCode.PARTIAL
    found = [f"{item.subject}: {item.reason}" for item in report.patients[ANNA.patient_id].findings]
    assert sum("no longer has" in finding for finding in found) == 1
    assert sum("changed this treatment of an earlier day" in finding for finding in found) == 2
    assert "NOTICE field 1-ARC" in render(report)


def test_one_patients_failure_stops_nobody_else(today: Day) -> None:
    today.treat(ANNA, 8, 10)
    today.treat(BERTA, 8, 40)
    root = today.vault.config.vault.root
    broken = PatientRepository.create(root, ANNA.patient_id)
    (broken.path / "refs/heads/hourly").write_text("0" * 40 + "\n")
    report = today.hour(at(9))
    assert report.exit_code in (ExitCode.PARTIAL, ExitCode.INTEGRITY)
    assert report.patients[BERTA.patient_id].new
    (failure,) = report.patients[ANNA.patient_id].failed
    assert "could not be committed" in failure.reason
    assert ANNA.patient_id not in failure.reason
    assert status(today.vault.config).unfinished_hours  # kept for the next run
    assert Hours(today.kept(BERTA)[0]).has(DAY)
    again = today.hour(at(10))
    assert again.failed == []
    assert len(again.resumed) == 1
    shutil.rmtree(broken.path)  # as docs/operations.md says, but for keeping it
    mended = today.hour(at(11))
    assert [run.patients[ANNA.patient_id].new for run in mended.resumed] == [True, False]
    assert status(today.vault.config).unfinished_hours == []


def test_paper_names_whose_history_cannot_be_read_and_has_the_others(today: Day) -> None:
    """Whoever is missing without a word passes for not treated today."""
    today.treat(ANNA, 8, 10)
    today.hour(at(9))
    for pack in (today.kept(ANNA)[0].path / "objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:12] + bytes(pack.stat().st_size - 12))
    today.treat(BERTA, 9, 30)
    report = today.hour(at(10))
    assert report.exit_code is ExitCode.INTEGRITY
    page = department(today)
    assert "As of 2026-11-25 10:00 CET" in page
    assert BERTA.patient_id in page
    assert "The history of 1 patient can't be read" in page
    assert ANNA.patient_id in page
    assert report.folder
    assert f"{BERTA.patient_id}.pdf" in {path.name for path in report.folder.iterdir()}


def test_a_repository_that_is_gone_gets_no_new_history(today: Day) -> None:
    today.night(at(2))
    today.treat(ANNA, 8)
    shutil.rmtree(today.vault.folder / "repos" / f"{ANNA.patient_id}.git")
    report = today.hour(at(9))
    assert report.exit_code is ExitCode.INTEGRITY
    (failure,) = report.patients[ANNA.patient_id].failed
    assert "the history is gone from this computer" in failure.reason
    assert PatientRepository.open(today.vault.folder, ANNA.patient_id) is None
    today.treat(BERTA, 9)
    today.hour(at(10))
    assert "The history of 1 patient can't be read" in department(today)


def test_an_interrupted_run_that_is_finished_late_does_not_undo_a_later_one(
    today: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    today.treat(ANNA, 8, 10)
    hour = vault.hourly_commit.commit_hour

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vault.hourly.commit_hour", full)
    today.hour(at(9))
    assert today.emr
    today.emr.run("UPDATE history SET machine = 'TB9' WHERE fraction = ?", [str(ANNA.delivered + 1)])
    monkeypatch.setattr(
        "vault.hourly.commit_hour", lambda at, *rest: full() if "T0800" in at.run else hour(at, *rest)
    )
    assert today.hour(at(10)).patients[ANNA.patient_id].new
    monkeypatch.undo()
    report = today.hour(at(11))
    assert [run.patients[ANNA.patient_id].new for run in report.resumed] == [False]
    page = text(today.kept(ANNA)[1].pdf(DAY))
    assert "TB9" in page
    assert "As of 2026-11-25 10:00 CET" in page
    assert "TB9" in department(today)


def test_a_full_disk_in_mid_retrieval_costs_neither_what_the_database_said_nor_the_delivery(
    today: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "a path with a patient")

    monkeypatch.setattr("vault.hourly.records_of", full)
    today.treat(ANNA, 8, 10)
    report = today.hour(at(9))
    (failure,) = report.failed
    assert failure.subject == "retrieval"
    assert failure.reason == "the disk refused (No space left on device): look at it, then run again"
    assert report.exit_code == ExitCode.PARTIAL
    assert report.patients[ANNA.patient_id].new
    assert report.delivered.sent
