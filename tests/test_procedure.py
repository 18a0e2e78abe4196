"""What a procedure finds of a run that was killed: nothing half written stays, and nothing whole goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault.files import TEMPORARY_PREFIX
from vault.procedure import tidy


@pytest.mark.parametrize(
    "folder",
    [
        "inbox/20261125T010000Z-b2ea/spool",
        "hourly/20261125T110000Z-b2ea",
        "repos/1a2b-4711.git/refs/heads",
        "overview.git",
        "ledger.git",
        "outbox",
        "today/2026-11-25",
        "reports/20261125T010000Z-b2ea",
        "removals",
        "quarantine/20261125T010000Z-b2ea",
    ],
)
def test_nothing_half_written_stays(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    whole, half = place / "whole", place / f"{TEMPORARY_PREFIX}40d29642016a8107"
    for path in (whole, half):
        path.write_bytes(b"a page with a name on it")
    tidy(tmp_path)
    assert whole.exists()
    assert not half.exists()


def test_the_mail_that_is_being_written_by_another_process_stays(tmp_path: Path) -> None:
    (tmp_path / "mail/outbox").mkdir(parents=True)
    half = tmp_path / "mail/outbox" / f"{TEMPORARY_PREFIX}40d29642016a8107"
    half.touch()
    tidy(tmp_path)
    assert half.exists()
