"""`vault sync` with `[retention]`: one night's digest names who goes, and the next night lets go, here and there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
from mail_night import PATIENTS, into_a_maildir, ward
from rewrite_kit import found_in

from vault.archive.ledger import Ledger
from vault.keys import read_pseudonym_key
from vault.sync import sync
from vault.verification.poll import Desk
from vault.verification.runs import codes

pytestmark = pytest.mark.system

FIRST = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
STAYS, GOES = (patient.patient_id for patient in PATIENTS)


def on_share(place, to: Path) -> Path:
    """The share's files, decrypted."""
    identity = pyrage.x25519.Identity.from_str((place.folder / "keys/identity.txt").read_text().split()[-1])
    to.mkdir()
    for path in place.share.rglob("*.age"):
        (to / path.name).write_bytes(pyrage.decrypt(path.read_bytes(), [identity]))
    return to


@pytest.fixture
def place(tmp_path: Path):
    """Two patients are treated the first night, and both recipients confirm it; the census names one of them since."""
    retention = '[retention]\nafter_last_treatment = "2d"\n'
    with ward(tmp_path, into_a_maildir() + retention) as made:
        made.play()
        first = sync(made.vault.config, now=FIRST)
        assert first.exit_code == 0, first.as_json()
        (asked,) = Desk(made.vault.config).docket.runs
        for name, code in codes(
            read_pseudonym_key(made.vault.config.vault.pseudonym_key), asked.run, ["Ann", "Ben"]
        ).items():
            done = made.vault.command("verify", "accept", first.run, "--as", name, input=f"{code}\n")
            assert done.returncode == 0, done.stdout + done.stderr
        text = made.vault.toml.read_text()
        made.vault.toml.write_text(text.replace(f'"{STAYS}", "{GOES}"', f'"{STAYS}"'))
        yield made


def test_one_night_announces_and_the_next_prunes(place, tmp_path: Path):
    name = str(PATIENTS[1].name).partition("^")[0].encode()
    announcing = sync(place.vault.config, now=FIRST + timedelta(days=1))
    assert announcing.exit_code == 0, announcing.as_json()
    assert (announcing.retention.announced, announcing.retention.gone) == ([GOES], [])
    assert set(place.vault.tips()) == {STAYS, GOES}
    assert found_in(on_share(place.vault, tmp_path / "before"), name)
    said = {mail["X-Vault-Run"]: str(mail.get_body(("plain",)).get_content()) for mail in place.mails()}
    assert GOES in said[announcing.run], "the digest names who goes"
    pruning = sync(place.vault.config, now=FIRST + timedelta(days=2))
    assert pruning.exit_code == 0, pruning.as_json()
    assert (pruning.retention.announced, pruning.retention.gone) == ([], [GOES])
    assert pruning.retention.waiting == 0
    assert set(place.vault.tips()) == {STAYS}
    kept = [
        path.name for path in place.vault.folder.iterdir() if path.name != "mail"
    ]  # what people got, they have
    assert [found for each in kept for found in found_in(place.vault.folder / each, name)] == []
    assert found_in(on_share(place.vault, tmp_path / "after"), name) == []
    events = [event["event"] for event in Ledger(place.vault.folder).events("prunes")]
    assert events[-1:] == ["announced"]
    assert events[:2] == ["done", "intent"]


@pytest.mark.parametrize("step", ["announce", "carry_out"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a defect")])
def test_what_keeps_retention_from_its_work_costs_no_mail_and_no_delivery(place, monkeypatch, step, error):
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(f"vault.retention.prune.Pruning.{step}", fail)
    report = sync(place.vault.config, now=FIRST + timedelta(days=1))
    (failure,) = report.failed
    assert failure.subject == "retention"
    assert ("No space left" in failure.reason) == isinstance(error, OSError)
    assert "a defect" not in failure.reason
    assert report.delivered.mailed == 2
    assert report.delivered.failed == []
    assert set(place.vault.tips()) == {STAYS, GOES}
