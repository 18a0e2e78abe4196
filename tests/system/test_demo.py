"""The demo as a newcomer runs it, and everything that it suggests to try next."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest

from vault.archive.repository import PatientRepository
from vault.compare.diff import compare
from vault.model import Change
from vault.normal.volatile import SHIPPED

pytestmark = pytest.mark.system

VAULT = Path(sys.executable).with_name("vault")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VAULT, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture(scope="module")
def first_run(place: Path) -> subprocess.CompletedProcess[str]:
    started = time.monotonic()
    done = run("demo", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 60
    return done


def changes_of(place: Path, patient: str) -> list[Change]:
    """What the second night changed."""
    repository = PatientRepository.open(place / "demo", patient)
    assert repository is not None
    new, old = list(repository.log("main"))
    return [change for change in compare(repository, old.oid, new.oid, SHIPPED) if change.modality]


def test_it_tells_the_two_nights(first_run: subprocess.CompletedProcess[str]) -> None:
    said = first_run.stdout
    assert "Night 1" in said
    assert "Night 2" in said
    assert "Night 3" not in said
    for patient in ("DEMO-001", "DEMO-002", "DEMO-003", "DEMO-004"):
        assert patient in said
    assert "Demo, Λουκία" in said
    assert "FAILED" not in said
    assert "LeafJawPositions" in said or "leaf" in said
    assert "4 patients treated today, 4 with something new" in said
    assert "VERIFY by mail from Ada Physicist, Ben Dosimetrist" in said
    assert "07:10  4 patients confirmed" in said
    assert "VERIFY by mail from nobody" in said
    for when in ("10:00", "10:10", "10:20"):
        assert f"{when}  ALARM: 4 patients not confirmed" in said
    assert "10:05  no alarm is due" in said
    assert not first_run.stderr
    assert "\x1b" not in said


def test_the_days_treatments_can_be_opened(first_run: subprocess.CompletedProcess[str], place: Path) -> None:
    named = first_run.stdout.partition("as a department prints them: ")[2].splitlines()[0]
    pages = [page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(place / named)]
    assert "Demo, Λουκία" in pages[0]
    assert "PARTIAL" in pages[0]


def test_the_report_leads_with_the_tampered_plan(
    first_run: subprocess.CompletedProcess[str], place: Path
) -> None:
    named = first_run.stdout.partition("to be opened in a browser: ")[2].splitlines()[0]
    page = (place / named).read_text("utf-8")
    body = page.partition("<main>")[2]
    assert re.search(r"ALARM|STOP AND LOOK", body)
    patients = re.findall(
        r'<details class="patient".*?data-severity="(\w+)".*?· <bdi>(DEMO-\d+)', body, re.DOTALL
    )
    assert patients == [("critical", "DEMO-002"), ("critical", "DEMO-003"), ("major", "DEMO-001")]
    assert re.search(r"leaves: greatest shift 5 mm.*60 leaf positions", body)
    assert re.search(r"plan LUNG_R:1</bdi> <span class=.kind.>revised", body)
    assert body.count('src="data:image/png;base64,') >= 1
    (routine,) = re.findall(r'<li class="patient line".*?</li>', body, re.DOTALL)
    assert "DEMO-004" in routine
    assert "new: treatment record" in routine
    paper = (place / named).with_name("report.pdf")
    assert (
        pypdfium2.PdfDocument(paper)[0].get_textpage().get_text_bounded().count("Who must look at what") == 1
    )


@pytest.mark.usefixtures("first_run")
def test_the_tampered_plan_is_the_only_change_of_its_patient(place: Path) -> None:
    changed = [change for change in changes_of(place, "DEMO-002") if change.kind != "added"]
    (plan,) = changed
    assert (plan.kind, plan.modality) == ("changed", "RTPLAN")
    (attribute,) = plan.attributes
    assert attribute.path == (
        "BeamSequence[2].ControlPointSequence[20].BeamLimitingDevicePositionSequence[MLCX].LeafJawPositions"
    )
    assert attribute.old is not None
    assert attribute.new is not None
    old, new = (list(map(float, value.split("\\"))) for value in (attribute.old, attribute.new))
    shifts = [round(after - before, 6) for before, after in zip(old, new, strict=True)]
    assert shifts == [-5.0] * 60 + [0.0] * 60


@pytest.mark.usefixtures("first_run")
def test_what_the_department_did_itself_is_there_too(place: Path) -> None:
    modalities = {
        patient: sorted(change.modality for change in changes_of(place, patient))
        for patient in ("DEMO-001", "DEMO-002", "DEMO-003", "DEMO-004")
    }
    assert modalities == {
        "DEMO-001": ["RTRECORD"],
        "DEMO-002": ["RTPLAN", "RTRECORD"],
        "DEMO-003": ["RTDOSE", "RTPLAN", "RTRECORD"],
        "DEMO-004": ["RTRECORD"],
    }


@pytest.mark.usefixtures("first_run")
def test_the_export_takes_what_was_confirmed_and_says_so(place: Path) -> None:
    done = run("-c", "demo/vault.toml", "--json", "export", "--all", "--to", "confirmed", cwd=place)
    assert done.returncode == 0, done.stderr
    for patient, exported in json.loads(done.stdout)["patients"].items():
        repository = PatientRepository.open(place / "demo", patient)
        assert repository is not None
        _, first = repository.log("main")
        assert (exported["commit"], exported["at"]) == (first.oid, "verified")
        assert (exported["verified"], exported["newer"]) == (True, 1)
    said = run("-c", "demo/vault.toml", "export", "DEMO-002", "--to", "confirmed", cwd=place).stdout
    assert "verified. NOT EXPORTED: a newer state that nobody has confirmed" in said


@pytest.mark.usefixtures("first_run")
def test_no_patient_is_named_where_none_may_be(place: Path) -> None:
    """Names and IDs in the ledger, in what alarms say, and in the share's names would outlive the patients."""
    names = ("DEMO-00", "Demo, ", "Demo^", "Jürgen", "Λουκία")
    told = subprocess.run(
        ["git", "-C", place / "demo/ledger.git", "log", "-p", "--format=%an %ae %B"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert '"reason":"unanswered"' in told
    assert [name for name in names if name in told] == []
    alarms = [
        path.read_text("utf-8")
        for path in (place / "demo/mail/out").rglob("*.vault")
        if "Subject: ALARM" in path.read_text("utf-8")
    ]
    assert len(alarms) >= 6
    assert [name for name in names for alarm in alarms if name in alarm] == []


def test_every_suggestion_works_as_printed(
    place: Path, first_run: subprocess.CompletedProcess[str], need: Callable[..., None]
) -> None:
    need("git", "age")
    block = first_run.stdout.partition("Try next:\n")[2]
    commands = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith("  #")]
    assert len(commands) == 10
    for command in commands:
        if "--serve" in command:
            continue  # goes on until it is ended: below
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=place,
            capture_output=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{VAULT.parent}:{os.environ['PATH']}"},
        )
        assert done.returncode == 0, f"{command}\n{done.stdout!r}\n{done.stderr!r}"
        assert done.stdout
        if "age -d" in command:  # `head` would hide its failure
            assert done.stdout.startswith(
                b"normal-form 1\nSOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan"
            )
        if "--show-signature" in command:
            assert done.stdout.count(b'Good "git" signature') == 2


@pytest.mark.usefixtures("first_run")
def test_a_second_run_refuses_and_a_fresh_one_starts_again(place: Path) -> None:
    again = run("demo", cwd=place)
    assert again.returncode == 2
    assert "--fresh" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.usefixtures("first_run")
def test_a_third_night_by_hand(place: Path) -> None:
    serving = subprocess.Popen(
        [VAULT, "demo", "demo", "--serve"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = serving.stdout.readline()
            assert line, serving.stderr.read() if serving.stderr else ""
            said += line
        assert "Night 3" in said
        synced = run("-c", "demo/vault.toml", "--json", "sync", cwd=place)
        assert synced.returncode == 0, synced.stdout + synced.stderr
        report = json.loads(synced.stdout)
        assert {patient: entry["added"] for patient, entry in report["patients"].items()} == {
            "DEMO-001": 1,
            "DEMO-002": 1,
            "DEMO-003": 1,
            "DEMO-004": 1,
        }
        for patient in report["patients"]:  # the department is a day ahead of the clock on the wall
            compared = run("-c", "demo/vault.toml", "--json", "diff", patient, cwd=place)
            changed = [
                each["path"] for each in json.loads(compared.stdout)["changes"] if each["kind"] != "added"
            ]
            assert changed in ([], ["database/schedule.txt"])
    finally:
        serving.send_signal(signal.SIGINT)
        rest, complaints = serving.communicate(timeout=20)
    assert serving.returncode == 0, complaints
    assert "has stopped" in rest


def test_the_results_as_json(tmp_path: Path) -> None:
    done = run("--json", "demo", "small", "--patients", "1", "--nights", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [night["night"] for night in document["nights"]] == [1, 2, 3]
    second, third = (night["report"]["patients"]["DEMO-001"] for night in document["nights"][1:])
    assert [len(night["answered"]) for night in document["nights"]] == [2, 2, 0]
    confirmed, alarmed = document["nights"][0]["alerts"], document["nights"][2]["alerts"]
    assert [len(each["answers"]["verified"]) for each in confirmed] == [1]
    assert [each["reason"] for call in alarmed for each in call["alarms"]].count("unanswered") == 3
    # record, revised plan, its dose, a document; tampered plan, revised document, the revised plan's row
    assert (second["added"], second["changed"], second["removed"]) == (4, 3, 0)
    assert (third["added"], third["changed"], third["removed"]) == (1, 0, 0)
    fresh = run("--json", "demo", "small", "--patients", "1", "--nights", "1", "--fresh", cwd=tmp_path)
    assert fresh.returncode == 0, fresh.stderr
    assert len(json.loads(fresh.stdout)["nights"]) == 1
