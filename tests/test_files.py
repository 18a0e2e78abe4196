"""Durable, private files: whole or not there."""

import os
import stat

import pytest

from vault import files


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_and_files_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = files.private_folder(tmp_path / "a" / "b")
        files.write_file(folder / "f", b"x")
    finally:
        os.umask(before)
    assert [mode(tmp_path / "a"), mode(folder), mode(folder / "f")] == [0o700, 0o700, 0o600]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        with files.new_file(tmp_path / "f") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(tmp_path):
    files.write_file(tmp_path / "f", b"first")
    with pytest.raises(FileExistsError):
        files.write_file(tmp_path / "f", b"second")
    assert (tmp_path / "f").read_bytes() == b"first"
    files.write_file(tmp_path / "f", b"second", replace=True)
    assert (tmp_path / "f").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 1


def test_file_and_folder_are_synced_before_the_name_is_trusted(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)), real(fd)))
    files.write_file(tmp_path / "f", b"x")
    assert synced == [False, True]


def test_what_a_crash_left_unfinished_is_swept(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{files.TEMPORARY_PREFIX}0123").write_bytes(b"half")
    (tmp_path / "deep" / "whole").write_bytes(b"x")
    assert files.sweep(tmp_path) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["whole"]
    assert files.sweep(tmp_path / "absent") == 0
