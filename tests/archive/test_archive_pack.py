from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vault.archive.blobs import Bytes, File, hash_file
from vault.archive.pack import SMALL, PackObject, write_pack
from vault.archive.packindex import Entry, entries, index_chunks, object_ids
from vault.errors import IntegrityError

Run = Callable[..., str]


def blob(data: bytes) -> PackObject:
    content = Bytes(data)
    return PackObject(content.oid, "blob", content)


@pytest.fixture
def bare(tmp_path: Path, git: Run) -> Path:
    git("git", "init", "--quiet", "--bare", "bare.git", cwd=tmp_path)
    return tmp_path / "bare.git"


def test_git_reads_every_object_of_a_pack(bare: Path, git: Run) -> None:
    contents = [
        b"",
        b"a",
        b"a" * 15,
        b"a" * 16,
        b"text\n" * 9999,
        os.urandom(200_000),
        b"z" * (SMALL + 1),
        os.urandom(SMALL + 77),
    ]
    name = write_pack(bare / "objects/pack", [blob(data) for data in contents])
    listed = git("git", "verify-pack", "-v", f"objects/pack/{name}.idx", cwd=bare)
    git("git", "fsck", "--strict", "--full", cwd=bare)
    for data in contents:
        oid = Bytes(data).oid
        assert f"{oid} blob   {len(data)} " in listed
        done = subprocess.run(["git", "cat-file", "blob", oid], cwd=bare, check=True, capture_output=True)
        assert done.stdout == data
    assert object_ids(bare / f"objects/pack/{name}.idx") == {
        bytes.fromhex(Bytes(data).oid) for data in contents
    }
    assert sorted(path.suffix for path in (bare / "objects/pack").iterdir()) == [".idx", ".pack"]
    assert {path.stat().st_mode & 0o777 for path in (bare / "objects/pack").iterdir()} == {0o400}


def test_the_name_is_what_git_would_give(bare: Path, git: Run) -> None:
    name = write_pack(bare / "objects/pack", [blob(b"one"), blob(b"two")])
    indexed = git(
        "git", "index-pack", "--index-version=2", "-o", "again.idx", f"objects/pack/{name}.pack", cwd=bare
    )
    assert indexed.strip() == name.removeprefix("pack-")
    assert (bare / "again.idx").read_bytes() == (bare / f"objects/pack/{name}.idx").read_bytes()


def test_what_is_compressed_already_is_stored(bare: Path) -> None:
    noise = os.urandom(1 << 20)
    write_pack(bare / "objects/pack", [blob(noise)])
    (pack,) = (bare / "objects/pack").glob("*.pack")
    assert len(noise) < pack.stat().st_size < len(noise) + 2000
    assert zlib.compress(noise, 0)[:2] in pack.read_bytes()[:32]


def test_offsets_beyond_2_gib_go_to_the_64_bit_table(bare: Path, git: Run) -> None:
    name = write_pack(bare / "objects/pack", [blob(b"%d" % number * 99) for number in range(50)])
    index, pack = (bare / f"objects/pack/{name}{suffix}" for suffix in (".idx", ".pack"))
    listed = [
        Entry(bytes.fromhex(fields[0]), 0, int(fields[4]))
        for line in git("git", "verify-pack", "-v", index, cwd=bare).splitlines()
        if len(fields := line.split()) == 5 and fields[1] == "blob"
    ]
    git("git", "index-pack", "--index-version=2,0x200", "-o", "large.idx", pack, cwd=bare)
    small_crcs = index.read_bytes()[8 + 1024 + 50 * 20 :][: 50 * 4]
    crcs = [int.from_bytes(small_crcs[at : at + 4], "big") for at in range(0, 200, 4)]
    located = [entry._replace(crc32=crc) for entry, crc in zip(sorted(listed), crcs, strict=True)]
    # git's own test option has a threshold that is inclusive the other way round
    made = b"".join(index_chunks(located, pack.read_bytes()[-20:], large=0x201))
    assert made == (bare / "large.idx").read_bytes()
    assert entries(bare / "large.idx") == sorted(located, key=lambda entry: entry.offset)


def test_a_file_that_changed_since_it_was_hashed_is_refused(bare: Path, tmp_path: Path) -> None:
    for change in (b"other content", b"conten", b"content and more"):
        path = tmp_path / "object"
        path.write_bytes(b"content")
        content = hash_file(path)
        path.write_bytes(change)
        with pytest.raises(IntegrityError, match="changed"):
            write_pack(
                bare / "objects/pack",
                [blob(b"before"), PackObject(content.oid, "blob", content), blob(b"after")],
            )
        assert list((bare / "objects/pack").iterdir()) == []


def test_a_file_that_vanished_is_an_error_and_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    gone = File(tmp_path / "gone", 7, "0" * 40, "0" * 64)
    with pytest.raises(FileNotFoundError):
        write_pack(bare / "objects/pack", [PackObject(gone.oid, "blob", gone)])
    assert list((bare / "objects/pack").iterdir()) == []


def test_a_damaged_index_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "pack-1.idx").write_bytes(b"\xfftOc\0\0\0\2" + b"\0\0\0\x09" * 256 + b"short")
    with pytest.raises(IntegrityError, match="index"):
        object_ids(tmp_path / "pack-1.idx")


def test_a_large_file_costs_no_memory(tmp_path: Path) -> None:
    """300 MB that do not compress well go through a process that stays small."""
    script = textwrap.dedent(
        """
        import os, random, sys
        from pathlib import Path
        from vault.archive.blobs import hash_file
        from vault.archive.pack import PackObject, write_pack
        peak = lambda: int([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1])  # KiB
        folder = Path(sys.argv[1])
        piece = random.Random(1).randbytes(1 << 19) + bytes(1 << 19)
        before = peak()
        with (folder / "large").open("wb") as file:
            for _ in range(300):
                file.write(piece)
        blob = hash_file(folder / "large")
        write_pack(folder, [PackObject(blob.oid, "blob", blob)])
        print((peak() - before) // 1024)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 20
