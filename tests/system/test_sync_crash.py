"""kill -9 at any moment of a night: the next one ends in the archive that an undisturbed night would have made."""

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import peers
import pytest
from vaults import TestVault

from vault.archive.repository import all_repositories

pytestmark = pytest.mark.system

KILLS = 8
SEED = 20261124


def trees(vault):
    """Everything that the archive holds, whatever commits it took."""
    return {r.patient_id: r.tree(r.tip()) for r in all_repositories(vault.config.vault.root)}


def plaintext_left(vault):
    """Files in the vault that are neither history, nor ciphertext, nor keys, nor a night's report."""
    kept = ("repos", "ledger.git", "outbox", "keys", "quarantine", "queries", "reports", "vault.toml", "lock")
    files = (path.relative_to(vault.folder) for path in vault.folder.rglob("*") if path.is_file())
    return [path for path in files if path.parts[0] not in kept]


def processes_about(folder):
    """Processes whose command line names `folder`."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return [line for line in lines if str(folder).encode() in line]


def fsck(vault):
    for repository in [*sorted((vault.folder / "repos").glob("*.git")), vault.folder / "ledger.git"]:
        done = subprocess.run(
            ["git", "-C", repository, "fsck", "--strict", "--full"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr


def test_killed_nights_end_like_an_undisturbed_one(tmp_path):
    reason = peers.missing_tools("Orthanc", "git")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    with peers.orthanc(tmp_path / "orthanc", move_to=("VAULT", "127.0.0.1", port)) as rois:
        rois.receiver_port = port
        files = peers.loadable()
        rois.load(files)
        undisturbed = TestVault(tmp_path / "undisturbed", rois, peers.patients_in(files))
        started = time.monotonic()
        assert undisturbed.command("sync").returncode == 0
        duration = time.monotonic() - started
        vault = TestVault(tmp_path / "vault", rois, peers.patients_in(files))
        chance = random.Random(SEED)
        for number in range(KILLS):
            moment = duration * (number + chance.random()) / KILLS
            command = [Path(sys.executable).with_name("vault"), "-c", vault.toml, "sync"]
            night = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                night.wait(moment)
            except subprocess.TimeoutExpired:
                night.send_signal(signal.SIGKILL)
                night.wait()
        last = vault.command("sync")
        assert last.returncode == 0, last.stdout + last.stderr
        assert trees(vault) == trees(undisturbed)
        assert plaintext_left(vault) == []
        fsck(vault)
        share = {path.name for path in vault.share.rglob("*.age")}
        assert len(share) >= len({path.name for path in undisturbed.share.rglob("*.age")})
        assert not list((vault.folder / "outbox").glob("[!.]*"))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_night_that_is_told_to_stop_leaves_no_process_behind(tmp_path, sent):
    reason = peers.missing_tools("Orthanc")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    with peers.orthanc(tmp_path / "orthanc", move_to=("VAULT", "127.0.0.1", port)) as rois:
        rois.receiver_port = port
        files = peers.loadable()
        rois.load(files)
        vault = TestVault(tmp_path / "vault", rois, peers.patients_in(files))
        command = [Path(sys.executable).with_name("vault"), "-c", vault.toml, "sync"]
        night = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(1.0)
        night.send_signal(sent)
        _, said = night.communicate(timeout=30)
        assert night.returncode in {0, 128 + sent}
        assert "Traceback" not in said
        assert vault.command("sync").returncode == 0
        assert processes_about(vault.folder) == []
