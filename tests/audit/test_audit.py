"""The audit finds what is not as it must be, says what to do, and finds nothing where nothing is."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from retention_kit import ToldVault

from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.refs import is_mark
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.audit.audit import audit
from vault.audit.findings import AuditReport, Level
from vault.audit.place import permissions
from vault.share.envelope import encrypt, header_size, parse_recipients, plaintext_size

SWEEP = int(os.environ.get("VAULT_AUDIT_SWEEP", "24"))
"""How many corruptions are tried; 1,000 take a quarter of an hour."""

NIGHTS = 3


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> ToldVault:
    """Two patients, three nights, hours, a summary, a verified patient; all of it on the share."""
    place = ToldVault(tmp_path_factory.mktemp("audit") / "vault")
    toml = place.made.toml
    toml.write_text(toml.read_text().replace("[rois.dicom]", 'identity = "keys/identity.txt"\n[rois.dicom]'))
    place.config = place.made.config
    for night in range(NIGHTS):
        tips = {}
        for patient in ("A", "B"):
            repository = PatientRepository.open(place.root, patient)
            old = repository.tip() if repository else None
            place.commit(patient, night, **{f"documents/{night}/a.bin": random.Random(night).randbytes(3000)})
            new = PatientRepository.open(place.root, patient).tip()
            entry = {"old_commit": old, "new_commit": new, "complete": True, "failed": 0}
            tips[place.pseudonyms.of(patient)] = entry
        place.record(night, ["A", "B"], patients=tips)
        place.commit("A", night + 0.5, "hourly")
        hour = PatientRepository.open(place.root, "A").tip("hourly")
        place.summarize(night + 0.5, ["A"])
        event = {
            "run": f"h{night}",
            "overview": Overview.open(place.root).tip("hourly"),
            "started": place.at(night + 0.5).isoformat(),
            "patients": {place.pseudonyms.of("A"): {"old_commit": None, "new_commit": hour}},
        }
        Ledger(place.root, place.signer).append("hourly", f"h{night}", event, when=place.at(night + 0.5))
    repository = PatientRepository.open(place.root, "A")
    repository.set_ref("refs/vault/verified", repository.tip())
    place.deliver()
    return place


@pytest.fixture
def place(sound: ToldVault, tmp_path: Path) -> ToldVault:
    return copied(sound, tmp_path)


def copied(sound: ToldVault, to: Path) -> ToldVault:
    """The same vault elsewhere."""
    shutil.rmtree(to / "vault", ignore_errors=True)
    shutil.rmtree(to / "vault-share", ignore_errors=True)
    shutil.copytree(sound.root, to / "vault")
    shutil.copytree(sound.share, to / "vault-share")
    twin = object.__new__(ToldVault)
    twin.__dict__.update(sound.__dict__)
    twin.made = object.__new__(type(sound.made))
    twin.made.__dict__.update(sound.made.__dict__)
    twin.made.folder, twin.made.toml = to / "vault", to / "vault" / "vault.toml"
    text = twin.made.toml.read_text().replace(sound.share.as_uri(), (to / "vault-share").as_uri())
    twin.made.toml.write_text(text)
    twin.config, twin.share = twin.made.config, to / "vault-share"
    twin.root = twin.config.vault.root
    return twin


def full(place: ToldVault, **options: object) -> AuditReport:
    return audit(place.config, now=place.at(NIGHTS), full=True, **options)


def texts(report: AuditReport) -> str:
    return "\n".join(f"{each.level} {each.subject}: {each.text}" for each in report.findings)


def test_a_sound_vault_has_no_findings(place):
    report = full(place, witness=Ledger(place.root).head())
    assert report.findings == []
    assert report.exit_code == 0
    assert (report.repositories, report.read, report.events) == (3, 3, 2 * NIGHTS)
    assert report.on_share == report.opened > 15
    done = place.made.command("audit", "--full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is as it must be." in done.stdout
    assert report.head in done.stdout


def test_a_file_that_a_run_removes_meanwhile_is_nothing(place, monkeypatch):
    walk = os.walk

    def late(top):
        for folder, folders, files in walk(top):
            yield folder, folders, [*files, ".tmp-gone"]

    monkeypatch.setattr(os, "walk", late)
    assert list(permissions(place.root)) == []


def test_a_week_of_nights_reads_everything_and_a_budget_is_kept(place):
    reports = [audit(place.config, now=place.at(night)) for night in range(7)]
    assert sum(report.read for report in reports) == 3
    assert all(report.findings == [] and report.repositories == 3 for report in reports)
    hurried = [audit(place.config, now=place.at(night), budget=0) for night in range(7)]
    assert sum(report.read for report in hurried) == 0
    assert {report.exit_code for report in hurried if report.due} == {3}


def test_a_witness_that_the_ledger_does_not_extend(place):
    assert "was rewritten" in texts(full(place, witness="0" * 40))
    head = Ledger(place.root).head()
    assert full(place, witness=head[:12]).findings == []
    assert full(place, witness=head[:4]).integrity, "a few digits prove nothing"
    done = place.made.command("audit", "--witness", "abc")
    assert done.returncode == 2
    assert "12 to 40 hexadecimal digits" in done.stderr
    done = place.made.command("--json", "audit", "--witness", "f" * 40)
    assert done.returncode == 4
    assert json.loads(done.stdout)["findings"][0]["level"] == "integrity"


def forge(place: ToldVault, signer: Signer) -> None:
    repository = PatientRepository.open(place.root, "A")
    edits = {"patient.json": Bytes(b"forged")}
    when = place.at(NIGHTS)
    repository.commit(parent=repository.tip(), edits=edits, message="night", when=when, signer=signer)


def rewrite(place: ToldVault) -> None:
    repository = PatientRepository.open(place.root, "A")
    (repository.path / "refs/heads/main").write_text(repository.commit_info(repository.tip()).parent + "\n")


def edit_ledger(place: ToldVault) -> None:
    ledger = Ledger(place.root).repository
    path = next(path for path in ledger.tree(ledger.tip()) if path.startswith("runs/"))
    when = place.at(NIGHTS)
    edits = {path: Bytes(b"{}")}
    ledger.commit_edits(parent=ledger.tip(), edits=edits, message="x", when=when, signer=place.signer)


def shorten_ledger(place: ToldVault) -> None:
    ledger = Ledger(place.root).repository
    (ledger.path / "refs/heads/main").write_text(ledger.commit_info(ledger.tip()).parent + "\n")


def replace_on_share(place: ToldVault) -> None:
    """A valid envelope of the very length, by somebody who knows the public keys."""
    path = next(place.share.glob("v1/blobs/*.age"))
    data = path.read_bytes()
    size = plaintext_size(len(data) - header_size(data))
    target = io.BytesIO()
    encrypt(io.BytesIO(b"x" * size), size, target, parse_recipients(place.config.vault.recipients))
    path.write_bytes(target.getvalue())


def put_a_later_manifest(place: ToldVault) -> None:
    (place.share / f"v1/manifests/9999999999-{'f' * 32}.age").write_bytes(b"whatever")


def take_the_newest_manifest(place: ToldVault) -> None:
    newest = max((place.share / "v1" / "manifests").iterdir())
    newest.rename(newest.with_name(f"0000000001-{'f' * 32}.age"))


def open_to_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


DAMAGE: list[tuple[Callable[[ToldVault], object], str]] = [
    (lambda place: forge(place, Signer(Ed25519PrivateKey.generate())), "by a key that"),
    (lambda place: forge(place, place.signer), "no run recorded"),
    (rewrite, "the history was rewritten"),
    (edit_ledger, "replaces the event"),
    (shorten_ledger, "no run recorded"),
    (replace_on_share, "should be"),
    (lambda place: shutil.rmtree(place.root / "repos" / "B.git"), "is not here"),
    (lambda place: shutil.rmtree(place.root / "overview.git"), "is not here"),
    (lambda place: shutil.rmtree(place.root / "ledger.git"), "there is no ledger"),
    (lambda place: shutil.rmtree(place.share / "v1" / "history"), "files are missing"),
    (lambda place: shutil.rmtree(place.share / "v1" / "manifests"), "there is no manifest"),
    (put_a_later_manifest, "newer than all"),
    (take_the_newest_manifest, "newest manifest is missing"),
    (lambda place: (place.root / "repos/A.git/hooks").mkdir(), "does not put there: hooks"),
    (lambda place: (place.root / "repos/A.git/objects/info/alternates").write_text("/x\n"), "alternates"),
    (lambda place: (place.root / "repos/A.git/HEAD").chmod(0o644), "open to other users"),
    (lambda place: open_to_others(place.root / "damaged"), "open to other users"),
    (lambda place: (place.root / "keys/pseudonym.key").write_text("0" * 64), "pseudonym key is another"),
    (lambda place: (place.root / "keys/signing_key").unlink(), "can't be read"),
    (lambda place: (place.root / "keys/identity.txt").write_text("AGE-SECRET-KEY-1X\n"), "the identity"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE, ids=[words for _, words in DAMAGE])
def test_what_somebody_did_is_found(place, damage, words):
    damage(place)
    report = full(place)
    assert words in texts(report)
    assert report.exit_code == (3 if words == "open to other users" else 4), texts(report)
    assert all(finding.text for finding in report.findings)


def test_a_program_named_in_a_configuration_is_found(place):
    path = place.root / "repos" / "A.git" / "config"
    subprocess.run(["git", "config", "--file", path, "core.fsmonitor", "touch /tmp/x"], check=True)
    assert "core.fsmonitor" in texts(full(place))


def test_what_nothing_needs_is_counted(place):
    before = full(place).superfluous
    (place.share / "v1/blobs/0000.age").write_bytes(b"x")
    report = full(place)
    assert (report.superfluous, report.findings) == (before + 1, [])


def test_a_share_that_is_away_is_a_warning(place):
    place.share.rename(place.share.with_name("away"))
    report = full(place)
    assert [each.level for each in report.findings] == [Level.WARNING]
    assert "not looked at" in texts(report)


def test_a_pruning_explains_what_changed_and_nothing_else_does(place):
    place.made.toml.write_text(
        place.made.toml.read_text().replace("[retention]", '[retention]\nhourly = "24h"')
    )
    place.config = place.made.config
    place.record(NIGHTS + 3, ["A", "B"])
    from vault.retention.prune import prune

    tip = PatientRepository.open(place.root, "A").tip()
    entry = {"old_commit": tip, "new_commit": tip, "complete": True, "failed": 0}
    tip_b = PatientRepository.open(place.root, "B").tip()
    both = {
        place.pseudonyms.of("A"): entry,
        place.pseudonyms.of("B"): {**entry, "old_commit": tip_b, "new_commit": tip_b},
    }
    place.record(NIGHTS + 4, ["A", "B"], patients=both)
    report = prune(place.config, now=place.at(NIGHTS + 4) + timedelta(hours=1))
    assert report.shortened == ["A"], report
    assert texts(full(place)) == ""


# --- at random


def files_of(place: ToldVault) -> list[Path]:
    """Every file that matters: what can be made again, or says nothing, left out."""
    root = place.root
    kept = [root / "repos", root / "ledger.git", root / "overview.git", root / "keys", place.share / "v1"]
    found = [path for folder in kept for path in sorted(folder.rglob("*")) if path.is_file()]
    newest = max(place.share.glob("v1/manifests/*"), key=lambda path: path.name)

    def matters(path: Path) -> bool:
        if path.parent.name == "manifests":
            return path == newest
        ref = path.as_posix().partition(".git/")[2]
        # the one can be made again, of another the verdicts tell, and the identity is at home in a safe
        said = {"signing_key.pub", "verified", "identity.txt"}
        return path.stat().st_size > 0 and not is_mark(ref) and path.name not in said

    return [path for path in found if matters(path)]


def _says_the_same(path: Path, one: bytes, two: bytes) -> bool:
    """White space at the end of a line makes it no other, nor does upper case a ref or the name of a setting."""
    if path.name == "config":
        return _settings(one) == _settings(two) is not None
    if "refs" in path.parts:
        return one.strip().lower() == two.strip().lower()
    return path.parent.name == "keys" and one.strip() == two.strip()


def _settings(data: bytes) -> set[bytes] | None:
    """What git reads in a configuration; a file of signers that is there, and the right one, is none of its own."""
    words = ["git", "config", "--file", "-", "--list"]
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    if done.returncode:
        return None
    lines = set(done.stdout.splitlines())
    key = b"gpg.ssh.allowedsignersfile="
    return {
        line for line in lines if not (line.startswith(key) and Path(os.fsdecode(line[len(key) :])).is_file())
    }


def test_corruption_anywhere_is_found_and_nothing_is_made_worse(sound, tmp_path):
    """Flip, truncate, delete, swap: seeded, in every kind of file of the vault and the share."""
    missed = []
    for seed in range(SWEEP):
        chance = random.Random(seed)
        place = copied(sound, tmp_path)
        files = files_of(place)
        kinds = sorted({(path.parent.name, path.suffix) for path in files})
        kind = kinds[seed % len(kinds)]  # each kind in turn, however many files it has
        path = chance.choice([each for each in files if (each.parent.name, each.suffix) == kind])
        how = chance.choice(["flip", "truncate", "delete", "swap"])
        path.chmod(0o600)
        data = path.read_bytes()
        if how == "flip":
            at = chance.randrange(len(data))
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
        elif how == "truncate":
            path.write_bytes(data[: chance.randrange(len(data))])
        elif how == "delete":
            path.unlink()
        else:
            other = chance.choice([each for each in files if each.read_bytes() != data])
            path.write_bytes(other.read_bytes())
        if path.exists() and _says_the_same(path, data, path.read_bytes()):
            continue
        before = {each: each.read_bytes() for each in files if each.exists()}
        try:
            found = full(place).integrity
        except Exception as error:
            found = type(error).__name__ in {"ConfigError"}
            if not found:
                missed.append((seed, how, path.relative_to(tmp_path).as_posix(), repr(error)))
                continue
        after = {each: each.read_bytes() for each in files if each.exists()}
        if not found or before != after:
            missed.append((seed, how, path.relative_to(tmp_path).as_posix(), "not found"))
    assert not missed, missed
