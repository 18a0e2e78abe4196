"""The reports that nights leave on this computer: rendered once, private, and only the newest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from run_kit import Department, files, plan, who

from cli.main import main
from vault.model import Failure
from vault.report import rendered
from vault.report.accounts import Account, PatientAccount, account_of, folder_of, keep_account
from vault.report.rendered import begin, page_of, render_what_is_missing


@pytest.fixture
def department(tmp_path: Path) -> Department:
    made = Department(tmp_path / "site")
    history = made.patient("A")
    first = history.night({**files("RTPLAN/1/1.1", plan()), **who("Demo^Anna")})
    second = history.night(files("RTPLAN/1/1.1", plan(meterset="120")))
    for number in range(1, 6):
        old = first if number == 1 else second
        name = made.run({"A": (old, second)}, number=number)
        keep_account(made.config.vault.root, name, Account())
    return made


def test_the_newest_are_kept_and_private(department: Department) -> None:
    failed: list[Failure] = []
    render_what_is_missing(department.config, failed)
    assert failed == []
    kept = sorted((department.folder / "reports").iterdir())
    assert [path.name[:8] for path in kept] == ["20261127", "20261128", "20261129"]
    for path in kept:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert "NOTHING CHANGED" in (path / "report.html").read_text("utf-8")
        assert not (path / "report.pdf").exists()
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.iterdir()} == {0o600}


def test_what_is_there_is_left_alone(department: Department) -> None:
    config, failed = department.config, list[Failure]()
    render_what_is_missing(config, failed)
    page = max((department.folder / "reports").glob("*/report.html"))
    page.write_text("mine")
    render_what_is_missing(config, failed)
    assert page.read_text() == "mine"


def test_a_run_that_the_ledger_has_not_is_left_for_later(department: Department) -> None:
    root, failed = department.config.vault.root, list[Failure]()
    keep_account(root, "20261130T010000Z-ffff", Account())
    render_what_is_missing(department.config, failed)
    assert failed == []
    assert not (folder_of(root, "20261130T010000Z-ffff") / "report.html").exists()


def test_what_cannot_be_rendered_is_said(department: Department, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Path:
        raise RuntimeError("A^Name")

    monkeypatch.setattr(rendered, "render", broken)
    failed: list[Failure] = []
    render_what_is_missing(department.config, failed)
    assert len(failed) == 3
    assert failed[0] == Failure("report", "it could not be rendered: an unforeseen RuntimeError")


def test_a_run_that_is_finished_in_parts_is_rendered_anew(department: Department) -> None:
    config, failed = department.config, list[Failure]()
    root = config.vault.root
    render_what_is_missing(config, failed)
    last = max((department.folder / "reports").iterdir()).name
    one, two = Failure("RTPLAN 1", "refused"), Failure("RTPLAN 2", "refused")
    begin(root, last, Account({"a": PatientAccount((one,)), "b": PatientAccount((one,))}))
    begin(root, last, Account({"b": PatientAccount((two,))}, (two,)))
    assert not page_of(root, last).exists()
    parts = {"a": PatientAccount((one,)), "b": PatientAccount((two,))}
    assert account_of(root, last) == Account(parts, (two,))
    render_what_is_missing(config, failed)
    assert "RTPLAN 2: refused" in page_of(root, last).read_text("utf-8")
    assert failed == []


def run(
    department: Department, capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0
) -> str:
    assert main(["-c", str(department.folder / "vault.toml"), *map(str, arguments)]) == code
    return capsys.readouterr().out


def test_report_for_a_person(department: Department, capsys: pytest.CaptureFixture[str]) -> None:
    assert "NOTHING CHANGED" in run(department, capsys, "report")
    said = run(department, capsys, "report", "20261125")
    assert "STOP AND LOOK" in said
    assert "critical  Demo, Anna (A)" in said
    assert '"counts": {' in run(department, capsys, "report", "20261125", "--json")
    run(department, capsys, "report", "1999", code=2)


def test_files_of_a_report(
    department: Department, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, paper = tmp_path / "n.html", tmp_path / "n.pdf"
    said = run(department, capsys, "report", "20261125", "--html", page, "--pdf", paper)
    assert said == f"Written: {page}\nWritten: {paper}\n"
    assert stat.S_IMODE(page.stat().st_mode) == stat.S_IMODE(paper.stat().st_mode) == 0o600
    assert b"Demo, Anna" in page.read_bytes()
    assert paper.read_bytes().startswith(b"%PDF-")
    before = page.read_bytes(), paper.read_bytes()
    run(department, capsys, "report", "20261125", "--html", page, "--pdf", paper)
    assert (page.read_bytes(), paper.read_bytes()) == before
    run(department, capsys, "report", "--html", tmp_path / "none" / "n.html", code=2)


def test_files_of_a_diff(department: Department, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "d.html"
    said = run(department, capsys, "diff", "A", "--html", page, "--exit-code", code=1)
    assert said == f"Written: {page}\n"
    text = page.read_text("utf-8")
    assert "What changed between two commits" in text
    assert "BeamMeterset: 100 → 120" in text
    assert run(department, capsys, "diff", "A", "--json", "--pdf", tmp_path / "d.pdf").startswith("{")


def test_an_account_takes_half_a_character(tmp_path: Path) -> None:
    said = PatientAccount(
        failed=(Failure("RTPLAN 1.2\udcff", "odd \ud800"),), anomalies=({"text": "\udc80"},)
    )
    keep_account(tmp_path, "R1", Account({"abc\udcfe": said}, (Failure("", "M\u00fcller \ud800"),)))
    kept = account_of(tmp_path, "R1")
    assert kept.failed == (Failure("", "M\u00fcller \\ud800"),)
    (patient,) = kept.patients.values()
    assert patient.failed == (Failure("RTPLAN 1.2\\udcff", "odd \\ud800"),)
    assert patient.anomalies == ({"text": "\\udc80"},)
