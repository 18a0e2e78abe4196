"""A system test that did not run is said, and fails the session where it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

SKIPPED = "@pytest.mark.system\ndef test_skipped(): pytest.skip('Orthanc is not installed')\n"
RAN = "@pytest.mark.system\ndef test_ran(): pass\n"
UNIT = "def test_unit(): pytest.skip('no matter')\n"


def session(folder: Path, tests: str, *, required: bool, workers: int = 0) -> tuple[int, str]:
    shutil.copy(TESTS / "conftest.py", folder)
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    (folder / "test_it.py").write_text("import pytest\n" + tests)
    environment = {**os.environ, "VAULT_REQUIRE_SYSTEM": "1" if required else ""}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", str(workers), str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_a_skipped_system_test_fails_where_it_is_required(tmp_path: Path, workers: int) -> None:
    code, said = session(tmp_path, SKIPPED + RAN + UNIT, required=True, workers=workers)
    assert code == 1
    assert "test_skipped: Orthanc is not installed" in said
    assert "1 system tests were skipped" in said


@pytest.mark.parametrize(
    ("tests", "required", "code", "said"),
    [
        (SKIPPED + RAN, False, 0, "system tests that did not run"),
        (RAN + UNIT, True, 0, "1 passed"),
        (UNIT, True, 1, "no system test ran"),
        ("def test_unit(): pass\n", False, 0, "1 passed"),
    ],
)
def test_other_sessions(tmp_path: Path, tests: str, required: bool, code: int, said: str) -> None:
    result, output = session(tmp_path, tests, required=required)
    assert result == code, output
    assert said in output


def test_a_module_that_skips_itself_counts(tmp_path: Path) -> None:
    (tmp_path / "tests/system").mkdir(parents=True)
    (tmp_path / "tests/system/test_all.py").write_text(
        "import pytest\npytest.skip('no server', allow_module_level=True)"
    )
    code, said = session(tmp_path, RAN, required=True)
    assert code == 1
    assert "no server" in said
