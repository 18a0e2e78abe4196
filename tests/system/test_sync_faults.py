"""The plain faults of a night: one sentence that says what to do, the right exit code, the other patients done."""

import json
import shutil
import socket
import subprocess
import threading

import peers
import pytest
from vaults import TestVault

from vault.lock import run_lock
from vault.model import Retrieval
from vault.rois.inbox import Inbox

pytestmark = pytest.mark.system

ALONE = ("99999999",)
"""A patient of the corpus."""


@pytest.fixture
def orthanc(tmp_path):
    """An Orthanc that holds the corpus."""
    reason = peers.missing_tools("Orthanc")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    with peers.orthanc(tmp_path / "orthanc", move_to=("VAULT", "127.0.0.1", port)) as peer:
        peer.receiver_port = port
        peer.load(peers.loadable())
        yield peer


def night(vault, code):
    """Run `vault sync --json`, check its exit code, and return its report and what it said on standard error."""
    done = vault.command("--json", "sync")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


def reasons(report):
    return [
        failure["reason"]
        for failures in (report["failed"], *(entry["failed"] for entry in report["patients"].values()))
        for failure in failures
    ]


def edit(vault, old, new):
    text = vault.toml.read_text()
    assert old in text
    vault.toml.write_text(text.replace(old, new))


def test_nobody_listens(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    edit(vault, f"port = {orthanc.port}", f"port = {peers.free_port()}")
    report, _ = night(vault, 1)
    (reason,) = reasons(report)
    assert "nothing listens there" in reason
    assert "[rois.dicom]" in reason


def test_nobody_listens_on_a_later_night_either(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, peers.patients_in(peers.loadable()))
    night(vault, 0)
    edit(vault, f"port = {orthanc.port}", f"port = {peers.free_port()}")
    night(vault, 1)
    said = vault.command("sync").stdout
    assert f"FAILED for {len(vault.tips())} patients: The ROIS" in said
    assert said.count("nothing listens there") == 1


def test_nobody_to_retrieve_is_a_matter_of_configuration(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, [])
    report, _ = night(vault, 2)
    assert "[census] patients" in report["failed"][0]["reason"]


def test_the_receivers_port_is_taken(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    with socket.create_server(("127.0.0.1", orthanc.receiver_port)):
        report, _ = night(vault, 2)
    assert "[receiver]" in report["failed"][0]["reason"]
    night(vault, 0)


def test_the_rois_has_another_ae_title(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    edit(vault, 'ae_title = "ORTHANC"', 'ae_title = "ARIA"')
    report, _ = night(vault, 1)
    (reason,) = reasons(report)
    assert "ARIA" in reason
    assert "[rois.dicom]" in reason


def test_the_rois_does_not_know_the_vault(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    edit(vault, 'ae_title = "VAULT"', 'ae_title = "STRANGER"')
    report, _ = night(vault, 1)
    assert any("STRANGER" in reason for reason in reasons(report))


def test_the_rois_accepts_the_connection_and_goes_silent(orthanc, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []
        threading.Thread(target=lambda: accepted.append(listener.accept()), daemon=True).start()
        vault = TestVault(tmp_path / "vault", orthanc, ALONE)
        edit(vault, f"port = {orthanc.port}", f"port = {listener.getsockname()[1]}")
        edit(vault, 'timeout = "10s"', 'timeout = "1s"')
        report, _ = night(vault, 1)
    assert any("did not answer the association request" in reason for reason in reasons(report))


def test_one_patient_is_unknown_and_the_others_are_done(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, [*ALONE, "NOBODY"])
    report, _ = night(vault, 3)
    assert report["patients"]["99999999"]["commit"]
    (failure,) = report["patients"]["NOBODY"]["failed"]
    assert "no such patient" in failure["reason"]


def test_the_share_is_away_tonight_and_caught_up_tomorrow(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    vault.share.rename(tmp_path / "unplugged")
    report, _ = night(vault, 3)
    waiting = report["delivered"]["waiting"]
    assert waiting > 0
    assert "share" in report["delivered"]["failed"][0]["reason"]
    assert report["patients"]["99999999"]["commit"]
    assert not vault.share.exists(), "an unmounted share must not be filled"
    (tmp_path / "unplugged").rename(vault.share)
    report, _ = night(vault, 0)
    assert report["delivered"]["sent"] >= waiting
    assert len(list(vault.share.rglob("*.age"))) == report["delivered"]["sent"]
    assert report["delivered"]["waiting"] == 0


def test_every_ciphertext_decrypts_with_stock_age_to_the_exact_blob(orthanc, tmp_path):
    reason = peers.missing_tools("age", "git")
    if reason:
        pytest.skip(reason)
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    night(vault, 0)
    plain = set()
    for ciphertext in (vault.share / "v1/blobs").glob("*.age"):
        identity = vault.folder / "keys" / "identity.txt"
        data = subprocess.run(
            ["age", "-d", "-i", identity, ciphertext], check=True, capture_output=True
        ).stdout
        oid = subprocess.run(
            ["git", "hash-object", "--stdin"], input=data, check=True, capture_output=True, text=False
        ).stdout
        plain.add(oid.decode().strip())
    (repository,) = (vault.folder / "repos").iterdir()
    tree = subprocess.run(
        ["git", "-C", repository, "ls-tree", "-r", "--format=%(objectname)", "main"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert plain >= set(tree.split())


def test_an_object_that_the_rois_can_not_send_is_named_and_the_others_come(tmp_path):
    reason = peers.missing_tools("dcmqrscp", "dcmqridx")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    files = peers.loadable()
    with peers.dcmqrscp(tmp_path / "dcmqr", move_to=("VAULT", "127.0.0.1", port)) as rois:
        rois.receiver_port = port
        rois.load(files)
        broken = next(path for path in sorted(rois.database.glob("*.dcm")))
        patient = str(peers.dataset(broken).PatientID)
        broken.write_bytes(broken.read_bytes()[:200])
        vault = TestVault(tmp_path / "vault", rois, peers.patients_in(files))
        report, _ = night(vault, 3)
    assert [key for key, entry in report["patients"].items() if entry["failed"]] == [patient]
    assert "not retrieved" in " ".join(reasons(report))
    assert sum(entry["added"] for entry in report["patients"].values()) == len(files) - 1


def test_two_vaults_at_once(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    with run_lock(vault.config.vault.root):
        done = vault.command("sync")
    assert done.returncode == 5
    assert "another vault run" in done.stderr


def test_a_typo_in_the_configuration(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    edit(vault, "retries = 1", "retires = 1")
    done = vault.command("sync")
    assert done.returncode == 2
    assert "retires" in done.stderr
    assert "retries" in done.stderr
    assert "line" in done.stderr


def test_a_damaged_repository_stops_no_other_patient(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, peers.patients_in(peers.loadable()))
    night(vault, 0)
    (vault.folder / "repos" / "99999999.git" / "refs" / "heads" / "main").write_text("0" * 39 + "1\n")
    report, _ = night(vault, 4)
    failed = [key for key, entry in report["patients"].items() if entry["failed"]]
    assert failed == ["99999999"]
    assert "could not be committed" in reasons(report)[0]
    heal(vault, "99999999")


def heal(vault, patient):
    """After a night without a commit of a patient the audit sees why, the repair heals, the next night goes."""
    assert vault.command("audit").returncode == 4
    done = vault.command("repair", patient, "--from-share", "--identity", vault.folder / "keys/identity.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is healed" in done.stdout
    report, _ = night(vault, 0)
    assert not any(reasons(report))
    assert not any(report["patients"][patient][what] for what in ("added", "changed", "removed"))
    assert vault.command("audit", "--full").returncode == 0


def test_a_repository_that_is_gone_is_no_new_patient(orthanc, tmp_path):
    others = [each for each in peers.patients_in(peers.loadable()) if each not in ALONE]
    vault = TestVault(tmp_path / "vault", orthanc, [*ALONE, others[0]])
    night(vault, 0)
    shutil.rmtree(vault.folder / "repos" / "99999999.git")
    for _ in range(2):  # the second night does not take the first for the patient's first
        report, _ = night(vault, 4)
        failed = [key for key, entry in report["patients"].items() if entry["failed"]]
        assert failed == ["99999999"]
        assert "the history is gone from this computer" in reasons(report)[0]
        assert not (vault.folder / "repos" / "99999999.git").exists()
    heal(vault, "99999999")


def test_a_history_that_nobody_has_any_more_is_given_up_by_a_person(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    night(vault, 0)
    assert vault.command("repair", *ALONE, "--begin-anew").returncode == 2  # nothing is wrong
    assert vault.command("repair", *ALONE).returncode == 2
    shutil.rmtree(vault.folder / "repos" / "99999999.git")
    night(vault, 4)
    done = vault.command("repair", *ALONE, "--begin-anew")
    assert done.returncode == 0, done.stderr
    report, _ = night(vault, 0)
    assert report["resumed"]
    assert vault.command("audit", "--full").returncode == 0
    assert vault.command("diff", *ALONE).returncode == 0


def test_no_name_in_what_is_logged_or_shared(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    done = vault.command("-v", "sync")
    names = [str(path.relative_to(vault.share)) for path in vault.share.rglob("*")]
    ledger = subprocess.run(
        ["git", "-C", vault.folder / "ledger.git", "log", "-p"], check=True, capture_output=True, text=True
    ).stdout
    for text in (done.stderr, ledger, *names):
        assert "99999999" not in text
        assert "Anonymous" not in text


def test_a_vault_that_was_moved_goes_on(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    night(vault, 0)
    shutil.move(vault.folder, tmp_path / "elsewhere")
    vault.folder, vault.toml = tmp_path / "elsewhere", tmp_path / "elsewhere" / "vault.toml"
    report, _ = night(vault, 0)
    assert report["patients"]["99999999"]["unchanged"] > 0


def test_a_damaged_ledger_stops_no_retrieval_and_is_said(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    night(vault, 0)
    reference = vault.folder / "ledger.git" / "refs" / "heads" / "main"
    before = reference.read_text()
    reference.write_text("0" * 39 + "1\n")
    report, _ = night(vault, 4)
    assert {failure["subject"] for failure in report["failed"]} == {"ledger", "report"}
    assert report["patients"]["99999999"]["unchanged"] > 0
    assert "DAMAGED" in vault.command("status").stdout
    reference.write_text(before)
    report, _ = night(vault, 0)
    assert [earlier["run"] for earlier in report["resumed"]] != []


def test_an_inbox_that_can_not_be_read_stops_no_later_night(orthanc, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ALONE)
    night(vault, 0)
    stuck = Inbox(vault.folder / "inbox" / "20200101T020000Z-0000")
    stuck.record(Retrieval("99999999", ()))
    for record in (vault.folder / "inbox").rglob("*.json"):
        record.write_bytes(b"\0" * 40)
    report, _ = night(vault, 3)
    assert report["patients"]["99999999"]["complete"]
    said = [
        *report["failed"],
        *(f for run in report["resumed"] for o in run["patients"].values() for f in o["failed"]),
    ]
    assert said != []


def gate(log):
    """A `[network]` section that writes down what was asked of it."""
    commands = {name: f'["sh", "-c", "echo {name} >> {log}"]' for name in ("up", "down")}
    return f"[network]\nup = {commands['up']}\ndown = {commands['down']}\n"


def test_the_network_is_closed_first_and_opened_only_for_the_phases_that_need_it(orthanc, tmp_path):
    log = tmp_path / "gate.log"
    vault = TestVault(tmp_path / "vault", orthanc, ALONE, extra=gate(log))
    night(vault, 0)
    # what a killed run may have left open, the retrieval, the delivery
    assert log.read_text().split() == ["down", "up", "down", "up", "down"]
    log.unlink()
    assert vault.command("calibrate", *ALONE).returncode == 0
    assert log.read_text().split() == ["up", "down"]


def test_a_network_that_does_not_open_costs_the_retrieval_and_nothing_else(orthanc, tmp_path):
    vault = TestVault(
        tmp_path / "vault", orthanc, ALONE, extra='[network]\nup = ["false"]\ndown = ["true"]\n'
    )
    report, _ = night(vault, 1)
    assert "[network] up" in report["failed"][0]["reason"]
