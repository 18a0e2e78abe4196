"""The demo's night of ransomware, over DICOM and ODBC, and what the vault says of it."""

from __future__ import annotations

import json
from pathlib import Path

import databases
import pytest

from cli.main import main
from vault.compare.anomaly.measures import OF_ONE

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite()),
]


def test_the_attack_is_noticed_and_status_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = tmp_path / "demo"
    assert main(["demo", str(demo), "--attack", "--patients", "2", "--nights", "2", "--json"]) == 0
    first, last = json.loads(capsys.readouterr().out)["nights"]
    assert first["report"]["anomalies"] == []
    found = {anomaly["measure"]: anomaly for anomaly in last["report"]["anomalies"]}
    assert set(found) == {"unstamped", "unreadable", "misnamed"}  # two patients are no share of a department
    assert "3 documents of 2 patients" in found["unreadable"]["text"]
    for patient in last["report"]["patients"].values():
        (said,) = [said for said in patient["anomalies"] if "part of what looks like an attack: " in said]
        assert OF_ONE["unreadable"] in said

    assert main(["-c", str(demo / "vault.toml"), "status"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ANOMALY")]
    assert len(said) == 3
    assert found["unstamped"]["look_at_first"] in said[0]
