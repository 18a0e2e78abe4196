from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest
from archive_kit import NIGHT, Keys, Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.archive.blobs import Blob, Bytes, File, hash_file
from vault.archive.objects import sha256
from vault.archive.repository import PatientRepository, all_repositories, no_such_patient
from vault.archive.signing import Signer, allowed_keys
from vault.errors import IntegrityError, UsageError, VaultError

Sound = Callable[[Path], None]
SumsHold = Callable[[Path, Path], int]


def commit(repository: PatientRepository, keys: Keys, edits: dict[str, bytes | None], days: int = 0) -> str:
    blobs: dict[str, Blob | None] = {
        path: None if data is None else Bytes(data) for path, data in edits.items()
    }
    return repository.commit(
        parent=repository.tip(),
        edits=blobs,
        message=f"Night {days}\n\nRun: run-{days}\nNormal-Form: 1\n",
        when=NIGHT + timedelta(days=days),
        signer=keys.signer,
        author="Klinik Süd",
    )


def contents(repository: PatientRepository, oid: str | None = None) -> dict[str, bytes]:
    tree = repository.tree(oid or repository.tip())
    return {path: repository.read(blob) for path, blob in tree.items() if not path.endswith("SHA256SUMS")}


def test_stock_git_and_sha256sum_accept_a_history(
    repository: PatientRepository, keys: Keys, git: Run, sound: Sound, sums_hold: SumsHold, tmp_path: Path
) -> None:
    first = commit(
        repository, keys, {"patient.json": b"{}", "dicom/CT/1.2/1.dcm": b"ct", "dicom/CT/1.2/1.txt": b"t"}
    )
    second = commit(repository, keys, {"dicom/RTPLAN/1.3/9.dcm": b"plan", "dicom/CT/1.2/1.txt": None}, days=1)
    sound(repository.path)
    assert sums_hold(repository.path, tmp_path / "clone") == 3
    assert 'Good "git" signature for vault@localhost' in git(
        "git", "verify-commit", "-v", second, cwd=repository.path
    )
    shown = git("git", "log", "--show-signature", "--format=%H|%an|%ae|%aI|%s", cwd=repository.path)
    assert shown.count('Good "git" signature') == 2
    assert f"{first}|Klinik Süd|vault@localhost|2026-11-24T02:00:00+01:00|Night 0" in shown
    for index in (repository.path / "objects/pack").glob("*.idx"):
        git("git", "verify-pack", index, cwd=repository.path)
    assert len(list((repository.path / "objects/pack").glob("*.pack"))) == 2
    assert repository.verify_commit(second, allowed_keys(keys.allowed))
    assert repository.changed_paths(first, second) == [
        ("SHA256SUMS", repository.tree(first)["SHA256SUMS"], repository.tree(second)["SHA256SUMS"]),
        ("dicom/CT/1.2/1.txt", Bytes(b"t").oid, None),
        (
            "dicom/CT/1.2/SHA256SUMS",
            *(repository.tree(one)["dicom/CT/1.2/SHA256SUMS"] for one in (first, second)),
        ),
        ("dicom/RTPLAN/1.3/9.dcm", None, Bytes(b"plan").oid),
        ("dicom/RTPLAN/1.3/SHA256SUMS", None, repository.tree(second)["dicom/RTPLAN/1.3/SHA256SUMS"]),
    ]
    assert len(repository.changed_paths(None, first)) == 5


def test_an_edited_or_foreign_commit_does_not_verify(
    repository: PatientRepository, keys: Keys, git: Run
) -> None:
    oid = commit(repository, keys, {"patient.json": b"{}"})
    raw = subprocess.run(
        ["git", "cat-file", "commit", oid], cwd=repository.path, check=True, capture_output=True
    ).stdout
    store = pygit2.Repository(str(repository.path))
    forged = str(store.odb.write(pygit2.enums.ObjectType.COMMIT, raw.replace(b"Night", b"Knight")))
    with pytest.raises(IntegrityError, match="altered"):
        repository.verify_commit(forged, allowed_keys(keys.allowed))
    unsigned = b"\n".join(line for line in raw.split(b"\n") if not line.startswith((b"gpgsig", b" ")))
    plain = str(store.odb.write(pygit2.enums.ObjectType.COMMIT, unsigned))
    with pytest.raises(IntegrityError, match="not signed"):
        repository.verify_commit(plain, allowed_keys(keys.allowed))


def test_a_night_without_changes_makes_no_commit(repository: PatientRepository, keys: Keys) -> None:
    with pytest.raises(ValueError, match="first commit"):
        commit(repository, keys, {"patient.json": None})
    first = commit(repository, keys, {"patient.json": b"{}"})
    before = sorted(repository.path.rglob("*"))
    assert commit(repository, keys, {"patient.json": b"{}", "dicom/gone": None}, days=1) == first
    assert sorted(repository.path.rglob("*")) == before


def test_what_the_repository_has_is_not_packed_again(
    repository: PatientRepository, keys: Keys, git: Run
) -> None:
    large = os.urandom(100_000)
    commit(repository, keys, {"dicom/CT/1/1.dcm": large, "patient.json": b"{}"})
    commit(repository, keys, {"dicom/CT/1/1.dcm": None}, days=1)
    commit(repository, keys, {"dicom/CT/1/1.dcm": large, "dicom/CT/2/1.dcm": large}, days=2)
    listed = "".join(
        git("git", "verify-pack", "-v", path, cwd=repository.path) for path in repository.path.rglob("*.idx")
    )
    assert listed.count(Bytes(large).oid) == 1


def test_only_touched_folders_are_written(repository: PatientRepository, keys: Keys, git: Run) -> None:
    commit(
        repository,
        keys,
        {f"dicom/CT/{series}/{name}.dcm": b"x%d" % name for series in range(9) for name in range(9)},
    )
    commit(repository, keys, {"dicom/RTPLAN/1/1.dcm": b"plan"}, days=1)
    newest = max(repository.path.rglob("*.idx"), key=lambda path: path.stat().st_mtime_ns)
    listed = git("git", "verify-pack", "-v", newest, cwd=repository.path)
    kinds = [
        line.split()[1]
        for line in listed.splitlines()
        if len(line.split()) == 5 and len(line.split()[0]) == 40
    ]
    assert (
        sorted(kinds) == ["blob"] * 3 + ["commit"] + ["tree"] * 4
    )  # plan and two SHA256SUMS; /, dicom, RTPLAN, 1


def test_files_are_stored_and_streamed_without_being_held(
    repository: PatientRepository, keys: Keys, tmp_path: Path
) -> None:
    data = os.urandom(3 << 20) * 3
    (tmp_path / "object").write_bytes(data)
    blob = hash_file(tmp_path / "object")
    repository.commit(
        parent=None, edits={"dicom/CT/1/1.dcm": blob}, message="m", when=NIGHT, signer=keys.signer
    )
    assert repository.size(blob.oid) == len(data)
    with repository.stream(blob.oid) as source:
        pieces = list(iter(lambda: source.read(1 << 20), b""))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20
    with repository.stream(blob.oid) as source:
        assert source.read(10) == data[:10]  # and leave it there
    with repository.stream(blob.oid) as source:
        assert source.read() == data
    with pytest.raises(IntegrityError), repository.stream("0" * 40):
        pass


def test_a_damaged_blob_is_never_delivered_whole(repository: PatientRepository, keys: Keys) -> None:
    data = os.urandom(5 << 20)
    commit(repository, keys, {"dicom/CT/1/1.dcm": data, "dicom/CT/1/2.dcm": data[: 1 << 20]})
    (pack,) = repository.path.rglob("*.pack")
    pack.chmod(0o600)
    stored = bytearray(pack.read_bytes())
    for place in (len(stored) // 2, len(stored) * 95 // 100):
        stored[place] ^= 1
    pack.write_bytes(stored)
    again = PatientRepository.open(repository.path.parent.parent, "4711")
    assert again
    for oid in (Bytes(data).oid, Bytes(data[: 1 << 20]).oid):
        with pytest.raises(IntegrityError), again.stream(oid) as source:
            sha256(source)


def test_two_writers_cannot_both_extend_a_commit(
    repository: PatientRepository, keys: Keys, sound: Sound
) -> None:
    other = PatientRepository.open(repository.path.parent.parent, "4711")
    assert other
    first = commit(repository, keys, {"patient.json": b"1"})
    for parent in (None, "0" * 40):
        with pytest.raises(VaultError, match="Run again"):
            other.commit(
                parent=parent,
                edits={"patient.json": Bytes(b"2")},
                message="m",
                when=NIGHT,
                signer=keys.signer,
            )
    assert other.tip() == first
    second = commit(other, keys, {"patient.json": b"2"}, days=1)
    assert repository.tip() == second
    assert contents(repository) == {"patient.json": b"2"}
    sound(repository.path)


def test_a_second_writer_waits_only_so_long(
    repository: PatientRepository, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from vault.archive import bare
    from vault.errors import LockedError

    monkeypatch.setattr(bare, "LOCK_PATIENCE", 0.1)
    with (repository.path / bare.LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            commit(repository, keys, {"patient.json": b"1"})
    commit(repository, keys, {"patient.json": b"1"})


def test_paths_that_git_or_a_checkout_would_trip_over_are_refused(
    repository: PatientRepository, keys: Keys
) -> None:
    refused = [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/./b",
        ".git/config",
        "a/.GIT",
        "a/.g\u200cit",
        "git~1",
        "a/b\\.git",
    ]
    refused += ["x" * 256, "a\0b", "\udcff", ".gitmodules"]
    for path in refused:
        with pytest.raises(VaultError, match="path for the archive"):
            commit(repository, keys, {path: b"x"})
    with pytest.raises(ValueError, match="SHA256SUMS"):
        commit(repository, keys, {"a/SHA256SUMS": b"x"})
    for clash in ({"a": b"1", "a/b": b"2"}, {"a/b": b"1", "a/b/c": b"2"}):
        with pytest.raises(VaultError, match="collide"):
            commit(repository, keys, {**clash})
    commit(repository, keys, {"a/b": b"1", "a/c": b"2"})
    with pytest.raises(VaultError, match="collide"):
        commit(repository, keys, {"a": b"1", "a/b": None})
    commit(repository, keys, {"a": b"1", "a/b": None, "a/c": None})
    commit(repository, keys, {"a": None, "a/d": b"3"})
    assert contents(repository) == {"a/d": b"3"}


_NAMES = st.sampled_from(
    [
        "a",
        "a.b",
        "a0",
        "a-",
        "b",
        "ä",
        "a b",
        "日本",
        "a\\b",
        "a\nb",
        "\\",
        " ",
        "patient.json",
        "\uff21",
        "a\u0308",
        "-c",
        "*",
    ]
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_EDITS = st.dictionaries(_PATHS, st.none() | st.sampled_from([b"", b"1", b"2", b"text\n"]), max_size=8)


def _fits(model: dict[str, bytes]) -> bool:
    return not any(other.startswith(f"{path}/") for path in model for other in model)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_EDITS, min_size=1, max_size=5))
def test_any_sequence_of_edits_is_what_a_dictionary_says(
    tmp_path_factory: pytest.TempPathFactory,
    keys: Keys,
    sound: Sound,
    sums_hold: SumsHold,
    nights: list[dict[str, bytes | None]],
) -> None:
    folder = tmp_path_factory.mktemp("model")
    repository = PatientRepository.create(folder, "1", keys.allowed)
    model: dict[str, bytes] = {}
    past: list[tuple[str, dict[str, bytes]]] = []
    for night, edits in enumerate(nights):
        after = {**model, **{path: data for path, data in edits.items() if data is not None}}
        for path, data in edits.items():
            if data is None:
                after.pop(path, None)
        if not _fits(after):
            with pytest.raises(VaultError, match="collide"):
                commit(repository, keys, edits, days=night)
            continue
        if after == model and not past:
            continue
        oid = commit(repository, keys, edits, days=night)
        assert (oid == past[-1][0] if past else False) == (after == model)
        model = after
        past.append((oid, model))
    for oid, then in past:
        assert contents(repository, oid) == then
    assert [one.oid for one in repository.log()] == list(dict.fromkeys(oid for oid, _ in reversed(past)))
    if past:
        sound(repository.path)
        sums_hold(repository.path, folder / "clone")
    shutil.rmtree(folder)


def test_revisions_are_found_by_what_people_call_them(repository: PatientRepository, keys: Keys) -> None:
    oids = [commit(repository, keys, {"patient.json": b"%d" % night}, days=night * 2) for night in range(4)]
    found = {
        "latest": oids[3],
        "main": oids[3],
        "HEAD": oids[3],
        "HEAD~2": oids[1],
        "latest~": oids[2],
        "main~1~1": oids[1],
        oids[2]: oids[2],
        oids[2][:12]: oids[2],
        oids[2][:12].upper() + "~1": oids[1],
        "2026-11-26": oids[1],
        "2026-11-27": oids[1],
        "2030-01-01": oids[3],
        " latest ": oids[3],
    }
    assert {name: repository.resolve(name) for name in found} == found
    for unknown in (
        "",
        "nothing",
        "HEAD~4",
        "2026-11-23",
        "2026-13-99",
        "0000000",
        "main@{1}",
        ":/Night",
        "../HEAD",
        "-x",
    ):
        with pytest.raises(UsageError):
            repository.resolve(unknown)
    with pytest.raises(UsageError, match="allowed are `latest`, `verified`, a branch"):
        repository.resolve("nothing")
    with pytest.raises(UsageError, match="verified yet"):
        repository.resolve("verified")
    repository.set_ref("refs/vault/verified", oids[1])
    assert repository.resolve("verified") == repository.ref("refs/vault/verified") == oids[1]
    assert repository.resolve("verified~1") == oids[0]
    with pytest.raises(VaultError, match="is missing"):
        repository.set_ref("refs/vault/verified", "1" * 40)
    with pytest.raises(UsageError):
        repository.resolve(repository.tree(oids[0])["patient.json"])


def test_a_commit_says_when_and_what(repository: PatientRepository, keys: Keys) -> None:
    oid = commit(repository, keys, {"patient.json": b"{}"})
    info = repository.commit_info(oid)
    assert (info.oid, info.parent, info.subject) == (oid, None, "Night 0")
    assert info.when == NIGHT
    assert info.when.utcoffset() == timedelta(hours=1)
    assert info.trailers == {"Run": "run-0", "Normal-Form": "1"}
    with pytest.raises(ValueError, match="time zone"):
        repository.commit(
            parent=oid,
            edits={"a": Bytes(b"")},
            message="m",
            when=NIGHT.replace(tzinfo=None),
            signer=keys.signer,
        )


def test_branches_live_beside_main(repository: PatientRepository, keys: Keys, sound: Sound) -> None:
    commit(repository, keys, {"patient.json": b"{}"})
    hourly = repository.commit(
        parent=None,
        edits={"history/2026-11-24/record.txt": Bytes(b"1")},
        message="hour <of> \0 nothing",
        when=datetime(2026, 11, 24, 8, tzinfo=UTC) - timedelta(0),
        signer=keys.signer,
        branch="hourly",
        author="<>\n",
    )
    assert repository.tip("hourly") == repository.resolve("hourly") == hourly
    assert repository.tip("none") is None
    assert set(contents(repository)) == {"patient.json"}
    sound(repository.path)


ODD_IDS = [
    "4711",
    "a/b",
    "..",
    "Müller 1",
    'q"uote',
    "back\\slash",
    "# ; ",
    " lead",
    "x\ty\nz",
    "[core]",
    "é" * 60,
    "a\rb",
    "\x01",
]


@pytest.mark.parametrize("patient_id", ODD_IDS)
def test_any_patient_id_is_kept_as_it_is(tmp_path: Path, keys: Keys, git: Run, patient_id: str) -> None:
    made = PatientRepository.create(tmp_path, patient_id, keys.allowed)
    assert PatientRepository.open(tmp_path, patient_id) is not None
    assert [found.patient_id for found in all_repositories(tmp_path)] == [patient_id]
    assert git("git", "config", "-z", "vault.patient", cwd=made.path) == patient_id + "\0"
    assert made.path.parent == tmp_path / "repos"
    assert made.path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(VaultError, match="exists"):
        PatientRepository.create(tmp_path, patient_id)


def test_repositories_are_listed_and_checked(tmp_path: Path) -> None:
    assert list(all_repositories(tmp_path)) == []
    assert PatientRepository.open(tmp_path, "1") is None
    one = PatientRepository.create(tmp_path, "1")
    PatientRepository.create(tmp_path, "2")
    (tmp_path / "repos/.new-3.git").mkdir()
    assert [found.patient_id for found in all_repositories(tmp_path)] == ["1", "2"]
    PatientRepository.create(tmp_path, "3")
    one.path.rename(tmp_path / "repos/9.git")
    with pytest.raises(IntegrityError, match="another patient"):
        PatientRepository.open(tmp_path, "9")
    (tmp_path / "repos/8.git").mkdir()
    with pytest.raises(IntegrityError, match="can't be opened"):
        PatientRepository.open(tmp_path, "8")
    for impossible in ("", "a\0b"):
        with pytest.raises(VaultError, match="patient ID"):
            PatientRepository.create(tmp_path, impossible)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("demo-002", " is it 'DEMO-002'?"),
        ("DEMO-02", " is it 'DEMO-002'?"),
        ("DEMO 002", " is it 'DEMO-002'?"),
        ("4711", " is it '0004711'?"),
        ("DEMO-003", ""),
        ("0004712", ""),
        ("DEMO-0020", ""),
        ("--", ""),
    ],
)
def test_a_patient_under_another_spelling_is_named_and_never_another_patient(
    tmp_path: Path, asked: str, meant: str
) -> None:
    for patient_id in ("DEMO-002", "0004711", "Ünal\x1b[31m"):
        PatientRepository.create(tmp_path, patient_id)
    said = str(no_such_patient(tmp_path, asked))
    assert said == (
        f"There is no patient {asked!r} in this vault{':' if meant else '.'}{meant} `vault status` lists those it has."
    )
    assert "\x1b" not in str(no_such_patient(tmp_path, "ünal[31m"))


def test_another_users_archive_is_refused_with_the_remedy(repository: PatientRepository) -> None:
    os.chown(repository.path, 65534, 65534)
    with pytest.raises(VaultError, match="run vault as the user who owns"):
        PatientRepository.open(repository.path.parent.parent, "4711")


def test_the_environment_does_not_matter(
    repository: PatientRepository, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".gitconfig").write_text("[core]\n\tbare = nonsense\n[include]\n\tpath = /nonexistent\n")
    for name, value in {
        "HOME": str(tmp_path),
        "GIT_DIR": "/nonexistent",
        "GIT_OBJECT_DIRECTORY": "/x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    data = os.urandom(5 << 20)
    commit(repository, keys, {"dicom/CT/1/1.dcm": data})
    again = PatientRepository.open(repository.path.parent.parent, "4711")
    assert again
    with again.stream(Bytes(data).oid) as source:
        assert source.read() == data


def test_a_file_that_changed_stops_the_commit(
    repository: PatientRepository, keys: Keys, tmp_path: Path
) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"before")
    blob = hash_file(path)
    path.write_bytes(b"after!")
    with pytest.raises(IntegrityError, match="nothing was committed"):
        repository.commit(parent=None, edits={"a": blob}, message="m", when=NIGHT, signer=keys.signer)
    gone = File(tmp_path / "gone", 1, "1" * 40, "1" * 64)
    with pytest.raises(VaultError, match="nothing was committed"):
        repository.commit(parent=None, edits={"a": gone}, message="m", when=NIGHT, signer=keys.signer)
    assert repository.tip() is None


def test_sums_that_are_missing_are_made_anew(
    repository: PatientRepository, keys: Keys, sums_hold: SumsHold, git: Run, tmp_path: Path
) -> None:
    """A commit of the vault on top of one that somebody made with stock git."""
    clone = tmp_path / "foreign"
    git("git", "clone", "--quiet", repository.path, clone, cwd=tmp_path)
    for name in ("patient.json", "dicom/CT/1/1.dcm", "dicom/CT/1/2.dcm", "documents/7/letter.pdf"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(name)
    git("git", "add", ".", cwd=clone)
    git("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "x", cwd=clone)
    git("git", "push", "--quiet", "origin", "HEAD:main", cwd=clone)
    commit(repository, keys, {"dicom/CT/1/1.dcm": b"new", "documents/7/record.txt": b"new"}, days=1)
    assert sums_hold(repository.path, tmp_path / "clone") == 3


def test_history_and_tree_are_quick(tmp_path: Path, keys: Keys) -> None:
    repository = PatientRepository.create(tmp_path, "1")
    commit(repository, keys, {f"dicom/CT/{name % 30}/{name}.dcm": b"%d" % name for name in range(600)})
    for night in range(40):
        commit(repository, keys, {f"dicom/RTRECORD/{night}/1.dcm": b"%d" % night}, days=night)
    again = PatientRepository.open(tmp_path, "1")
    assert again
    start = time.perf_counter()
    assert len(list(again.log())) == 41
    assert len(again.tree(again.tip())) == 600 + 40 + 30 + 40 + 1
    assert time.perf_counter() - start < 0.5  # a tenth of it on a quiet machine


def test_signers_differ_and_are_told_apart(repository: PatientRepository, keys: Keys) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    stranger = Signer(Ed25519PrivateKey.generate())
    oid = repository.commit(parent=None, edits={"a": Bytes(b"")}, message="m", when=NIGHT, signer=stranger)
    with pytest.raises(IntegrityError, match="does not list"):
        repository.verify_commit(oid, allowed_keys(keys.allowed))
