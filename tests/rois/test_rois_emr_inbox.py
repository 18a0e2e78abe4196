"""The EMR half of the inbox: what is put there comes back, durable, private and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault.errors import VaultError
from vault.model import Failure, Row
from vault.rois.emr_inbox import EmrInbox, KnownDocument, chunks

NASTY = "..\\../ä\x00\n😀"


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path / "run")
    rows = {
        "plans": [Row("plans", {"plan_key": "1", "plan": "line\nbreak\x00😀", "status": None})],
        "contacts": [],
    }
    inbox.write_rows("1/2", rows, [Failure("history", "why")])
    assert inbox.rows("1/2") == rows
    assert inbox.failures("1/2") == [Failure("history", "why")]
    assert inbox.patients() == ["1/2"]


def test_who_was_not_asked_about_has_no_rows(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path)
    assert inbox.rows("1") is None
    assert inbox.failures("1") == []
    assert list(inbox.documents("1")) == []


def test_what_is_known_stands_behind_the_rows_and_half_a_note_is_none(tmp_path: Path) -> None:
    inbox, noted = EmrInbox(tmp_path), {"7/1": KnownDocument("line\nbreak", "b")}
    assert inbox.known("1") == {}
    inbox.write_rows("1", {"plans": []})
    assert inbox.known("1") == {}
    inbox.note_known("1", noted)
    assert inbox.known("1") == noted
    assert inbox.rows("1") == {"plans": []}
    file = tmp_path / "emr" / "rows" / "1.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    assert inbox.known("1") == {}
    assert inbox.rows("1") == {"plans": []}
    inbox.write_rows("1", {}, [Failure("history", "why")])
    assert inbox.known("1") == {}


def test_documents_stay_inside_whatever_they_are_called(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path / "run")
    inbox.put_document(NASTY, NASTY, NASTY, [b"one", b"two"])
    (document,) = inbox.documents(NASTY)
    assert (document.key, document.file_name, document.path.read_bytes()) == (NASTY, NASTY, b"onetwo")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_document_that_breaks_off_did_not_arrive(tmp_path: Path) -> None:
    def broken():
        yield b"half"
        raise OSError("gone")

    inbox = EmrInbox(tmp_path)
    inbox.put_document("1", "k", "a.pdf", [b"first"])
    with pytest.raises(OSError, match="gone"):
        inbox.put_document("1", "k", "a.pdf", broken())
    assert list(inbox.documents("1")) == []


def test_a_document_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path, largest_document=1 << 20)
    with pytest.raises(VaultError, match="larger than the 1 MiB"):
        inbox.put_document("1", "k", "a.pdf", (bytes(1 << 19) for _ in range(3)))
    assert list(inbox.documents("1")) == []


def test_chunks_of_a_file_are_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3 << 20))
    assert b"".join(chunks(tmp_path / "a")) == bytes(3 << 20)


def test_what_a_power_cut_has_torn_is_told_from_what_is_whole(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path)
    for patient in ("1", "2"):
        inbox.write_rows(patient, {})
        inbox.put_document(patient, "k", "a.txt", [b"whole"])
    inbox.sync()
    (tmp_path / "emr" / "rows" / "1.jsonl").write_bytes(b"{")
    next((tmp_path / "emr" / "1").rglob("content")).write_bytes(b"whol\0")
    assert inbox.patients() == ["2"]
    with pytest.raises(VaultError, match="not whole in the inbox"):
        inbox.rows("1")
    assert list(inbox.documents("1")) == []
    assert [document.key for document in inbox.documents("2")] == ["k"]


def test_rows_that_an_earlier_version_left_are_read_and_forgotten(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path)
    inbox.write_rows("1", {"plans": []}, [Failure("history", "why")])
    inbox.note_known("1", {"7": KnownDocument("a.pdf", "b")})
    (tmp_path / "emr" / "1").mkdir()
    (tmp_path / "emr" / "rows" / "1.jsonl").rename(tmp_path / "emr" / "1" / "rows.jsonl")
    assert inbox.patients() == ["1"]
    assert inbox.rows("1") == {"plans": []}
    assert inbox.failures("1") == [Failure("history", "why")]
    assert inbox.known("1") == {"7": KnownDocument("a.pdf", "b")}
    inbox.clear("1")
    assert inbox.patients() == []
    assert inbox.rows("1") is None


def test_a_patient_called_rows_is_no_other_patient(tmp_path: Path) -> None:
    inbox = EmrInbox(tmp_path)
    for patient in ("rows", "1"):
        inbox.write_rows(patient, {})
        inbox.put_document(patient, "k", "a.txt", [patient.encode()])
    inbox.clear("rows")
    assert inbox.patients() == ["1"]
    assert [document.path.read_bytes() for document in inbox.documents("1")] == [b"1"]
