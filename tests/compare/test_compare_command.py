"""`vault diff` with findings: as a person and as a program read them, under the shipped rules and a site's own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from history_kit import History

from cli.main import main
from vault.compare.diff import compare
from vault.compare.findings import findings
from vault.compare.lines import attribute_changes
from vault.model import Row
from vault.normal import rows

PLAN = "dicom/RTPLAN/1.2/1.2.1"


def form(label: str, gantry: int) -> bytes:
    return (
        f'normal-form 1\nRTPlanLabel SH "{label}"\nBeamSequence[1].BeamName LO "AP"\n'
        f"BeamSequence[1].ControlPointSequence[0].GantryAngle DS {gantry}\n"
    ).encode()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "site"), "--timezone", "Europe/Zurich"]) == 0
    history = History(tmp_path / "site", "P-1")
    history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A", 0)})
    history.night({f"{PLAN}.dcm": b"2", f"{PLAN}.txt": form("B", 5)})
    return tmp_path / "site"


def run(capsys: pytest.CaptureFixture[str], site: Path, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["-c", str(site / "vault.toml"), "diff", "P-1", *arguments]) == 0
    return capsys.readouterr().out


def test_findings_come_first_and_the_attributes_below(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, site).splitlines()[3:] == [
        "Critical",
        "  RTPLAN B  (1.2.1)  changed",
        "      critical: beam 1 AP: gantry angle 0 → 5° (+5°) at control point 0",
        "      major: plan label A → B",
        '      RTPlanLabel: "A" → "B"',
        "      BeamSequence[1].ControlPointSequence[0].GantryAngle: 0 → 5",
        "",
        "1 changed; 1 critical",
    ]


def test_findings_for_a_program(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (change,) = json.loads(run(capsys, site, "--json"))["changes"]
    assert change["severity"] == "critical"
    assert change["findings"] == [
        {"severity": "critical", "text": "beam 1 AP: gantry angle 0 → 5° (+5°) at control point 0"},
        {"severity": "major", "text": "plan label A → B"},
    ]


def test_a_site_rules_beside_its_configuration(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "rules.toml").write_text('[plan]\nangles = "routine"\nlabel = "minor"\n')
    (change,) = json.loads(run(capsys, site, "--json"))["changes"]
    assert [one["severity"] for one in change["findings"]] == ["minor", "routine"]
    assert change["severity"] == "minor"
    (site / "rules.toml").write_text('[plan]\nangles = "hidden"\n')
    assert main(["-c", str(site / "vault.toml"), "diff", "P-1"]) == 2
    assert "rules.toml, line 2: [plan] angles can't be 'hidden'" in capsys.readouterr().err


def prescriptions(*rows_: tuple[str, str]) -> bytes:
    fields = ({"prescription_key": key, "site": site, "changed_at": "1"} for key, site in rows_)
    return rows.normal_form("prescriptions", [Row("prescriptions", one) for one in fields])


def test_rows_that_changed_are_graver_than_new_ones(tmp_path: Path) -> None:
    history, path = History(tmp_path), "database/prescriptions.txt"
    first = history.night({path: prescriptions(("1", "lung"))})
    second = history.night({path: prescriptions(("1", "lung"), ("2", "breast"))})
    third = history.night({path: prescriptions(("1", "row 2 added"), ("2", "breast"))})
    last = history.night({path: prescriptions(("1", "row 2 added"))})

    def told(old: str, new: str) -> list[tuple[str, str]]:
        (change,) = compare(history.repository, old, new)
        return [(one.severity, one.text) for one in change.findings]

    assert told(first, second) == [("major", "row 2 added; changed 1")]
    assert told(second, third) == [("critical", "row 1: site lung → row 2 added; changed 1")]
    assert told(third, last) == [("critical", "row 2 removed")]


@pytest.mark.parametrize(
    ("path", "added", "removed"),
    [
        (f"{PLAN}.dcm", "minor", "critical"),
        ("dicom/RTRECORD/1.3/1.3.1.dcm", "routine", "critical"),
        ("dicom/RTIMAGE/1.4/1.4.1.dcm", "routine", "major"),
        ("dicom/CT/1.5/1.5.1.dcm", "routine", "critical"),
        ("dicom/XX/1.6/1.6.1.dcm", "routine", "major"),
        ("documents/7/a.pdf", "routine", "critical"),
        ("database/prescriptions.txt", "minor", "critical"),
        ("notes.bin", "minor", "major"),
    ],
)
def test_what_came_or_went(tmp_path: Path, path: str, added: str, removed: str) -> None:
    history = History(tmp_path)
    files = {path: b"x", path.replace(".dcm", ".txt"): b"normal-form 1\nInstanceNumber IS 1\n"}
    first = history.night({"other": b"1"})
    second = history.night(files)
    third = history.night(dict.fromkeys(files))
    (came,) = compare(history.repository, first, second)
    (went,) = compare(history.repository, second, third)
    assert (came.kind, came.severity, went.kind, went.severity) == ("added", added, "removed", removed)
    assert len(came.findings) == len(went.findings) == 1


def test_ten_megabytes_of_contours_in_which_all_moved_take_less_than_three_seconds() -> None:
    def structures(shift: int) -> bytes:
        points = "\\".join(f"{100 + shift}.25\\{n}.75\\-120.5" for n in range(100))
        return b"normal-form 1\n" + b"".join(
            f"ROIContourSequence[{roi}].ContourSequence[{n}].ContourData DS {n}.5\\1\\2\\{points}\n".encode()
            for roi in range(1, 51)
            for n in range(1, 121)
        )

    old, new = structures(0), structures(7)
    assert len(old) > 10_000_000
    began = time.process_time()
    said = findings("RTSTRUCT", attribute_changes(old, new), old, new)
    assert time.process_time() - began < 3
    assert len(said) == 50
    assert (
        said[0].text == "ROI 1: 120 of 120 contours differ, on 1 slice (z 2 mm), points moved by up to 7 mm"
    )
