"""Documents from a folder and from a real SMB server: the same contract, and nothing leads out of either."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import smbclient
from hypothesis import given
from hypothesis import strategies as st
from samba import missing_samba, samba, stop

from vault.digests import blob_hash
from vault.errors import IntegrityError, UsageError
from vault.files import CHUNK, ROUND_TRIP
from vault.model import Failure, Row
from vault.names import safe_name
from vault.rois.document_folder import FolderStore
from vault.rois.documents import (
    ChangedWhileReadError,
    DocumentError,
    DocumentsAwayError,
    DocumentsRefusedError,
    fetch_all,
    names_of,
    open_store,
)
from vault.rois.emr_inbox import EmrInbox, KnownDocument

NAME = "2026Q4\\Müller consent.pdf"
CONTENT = b"%PDF " + b"consent" * 200_000

OUTSIDE = [
    "..\\secret", "../secret", "2026Q4/../../secret", "2026Q4\\..\\..\\secret", "/etc/passwd", "\\secret",
    "\\\\server\\share\\x", "//server/share/x", "C:\\secret", "c:secret", "\\\\?\\C:\\secret", "..", ".", "a/./b",
    ". ./secret", ".. \\secret", "..\u2025/secret\0", "a\0.pdf", "NUL", "con.txt", "a\\Aux", "COM1", "lpt9.pdf",
    "a.pdf:stream", "a.pdf::$DATA", "a*.pdf", "a?.pdf", "a.pdf.", "a.pdf ./b", "", "   ", "a\n.pdf", "x" * 5000,
    "a//../b", "\ud800.pdf", "a<b", 'a"b', "a|b",
]  # fmt: skip


def read(store, file):
    with store.open(file) as document:
        return b"".join(document.chunks())


class DocumentContract:
    """What every store of documents does; `root` is its folder, to put files into."""

    @pytest.fixture
    def root(self, tmp_path):
        raise NotImplementedError

    @pytest.fixture
    def outside(self, root):
        """A folder that no link in `root` may lead to."""
        return root.parent

    @pytest.fixture
    def store(self, root):
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def documents(self, root):
        (root / "2026Q4").mkdir(parents=True, exist_ok=True)
        (root / "2026Q4" / "Müller consent.pdf").write_bytes(CONTENT)
        (root.parent / "secret").write_text("of somebody else")

    def test_gives_the_bytes_in_pieces(self, store):
        with store.open(NAME) as document:
            pieces = list(document.chunks())
            assert document.size == len(CONTENT)
        assert b"".join(pieces) == CONTENT
        assert max(map(len, pieces)) <= ROUND_TRIP

    @pytest.mark.parametrize("separator", ["/", "\\", "\\\\", "/\\"])
    def test_takes_either_separator(self, store, separator):
        assert read(store, NAME.replace("\\", separator)) == CONTENT

    def test_an_empty_document(self, store, root):
        (root / "empty").write_bytes(b"")
        assert read(store, "empty") == b""

    def test_a_file_that_is_not_there(self, store):
        for file in ("2026Q4/none.pdf", "none/none.pdf", NAME + "/x"):
            with pytest.raises(DocumentError, match="not in the documents' store"):
                read(store, file)

    def test_what_is_no_file(self, store):
        with pytest.raises(DocumentError, match="no file"):
            read(store, "2026Q4")

    @pytest.mark.parametrize("file", OUTSIDE)
    def test_nothing_leads_out_of_the_root(self, store, file):
        with pytest.raises(DocumentError):
            read(store, file)

    def test_links_out_are_refused(self, store, root, outside):
        (outside / "secret").write_text("of somebody else")
        for number, target in enumerate(
            (outside / "secret", os.path.relpath(outside / "secret", root), "/etc/passwd")
        ):
            (root / f"link{number}").symlink_to(target)
            with pytest.raises(DocumentError):
                read(store, f"link{number}")
        (root / "folder").symlink_to(outside)
        with pytest.raises(DocumentError):
            read(store, "folder/secret")

    @pytest.mark.parametrize("change", [b"longer" + CONTENT, CONTENT[:-1], b"!" + CONTENT[1:]])
    def test_a_file_that_changes_while_it_is_read(self, store, root, change):
        path = root / "2026Q4" / "Müller consent.pdf"
        with store.open(NAME) as document:
            pieces = document.chunks()
            next(pieces)
            time.sleep(0.02)
            path.write_bytes(change)
            with pytest.raises(ChangedWhileReadError):
                list(pieces)

    def test_it_can_be_closed_and_used_again(self, store):
        assert read(store, NAME) == CONTENT
        store.close()
        store.close()
        assert read(store, NAME) == CONTENT


class TestFolder(DocumentContract):
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "root").mkdir()
        return tmp_path / "root"

    @pytest.fixture
    def store(self, root):
        return open_store(str(root))

    def test_a_link_is_refused_wherever_it_leads(self, store, root):
        (root / "link").symlink_to("2026Q4")
        with pytest.raises(DocumentError, match="symbolic link"):
            read(store, "link/Müller consent.pdf")
        (root / "file").symlink_to("2026Q4/Müller consent.pdf")
        with pytest.raises(DocumentError, match="symbolic link"):
            read(store, "file")

    def test_pipes_and_sockets_are_no_files_and_never_waited_for(self, store, root):
        os.mkfifo(root / "pipe")
        with pytest.raises(DocumentError, match="no file"):
            read(store, "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(root / "s"))
            with pytest.raises(DocumentError, match="no file"):
                read(store, "s")

    def test_a_file_that_we_may_not_read(self):
        with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
            Path(folder).chmod(0o755)
            (Path(folder) / "a.pdf").write_bytes(b"x")
            (Path(folder) / "a.pdf").chmod(0o000)
            before = os.geteuid()
            os.seteuid(before or 65534)  # root may read everything
            try:
                with pytest.raises(DocumentError, match="Permission denied"):
                    read(FolderStore(folder), "a.pdf")
            finally:
                os.seteuid(before)

    def test_a_root_that_is_away_says_so_once_for_all(self, tmp_path):
        with pytest.raises(DocumentsAwayError, match="is it mounted"):
            read(FolderStore(str(tmp_path / "none")), "a")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if missing_samba():
        pytest.skip(missing_samba())
    share = tmp_path_factory.mktemp("served") / "share"
    share.mkdir()
    with samba(share) as running:
        yield running


@pytest.mark.system
class TestShare(DocumentContract):
    @pytest.fixture
    def root(self, server, request):
        folder = server.share / f"t{abs(hash(request.node.name))}" / "Documents"
        folder.mkdir(parents=True)
        return folder

    @pytest.fixture
    def outside(self, server):
        return server.share.parent  # within the share, links are the server's affair

    @pytest.fixture
    def place(self, server, root):
        return f"{server.url}/{root.relative_to(server.share)}"

    @pytest.fixture
    def store(self, server, place):
        store = open_store(place, server.user, server.password, timeout=10)
        yield store
        store.close()

    def test_a_file_that_somebody_keeps_open_for_himself(self, store, server, root):
        (root / "report.doc").write_bytes(b"x")
        path = rf"\\127.0.0.1\rois\{str(root.relative_to(server.share)).replace('/', chr(92))}\report.doc"
        options = {
            "username": server.user,
            "password": server.password,
            "port": server.port,
            "connection_cache": {},
        }
        held = smbclient.open_file(path, mode="r+b", buffering=0, share_access=None, **options)
        with held, pytest.raises(DocumentError, match="keeps it open"):
            read(store, "report.doc")
        smbclient.reset_connection_cache(connection_cache=options["connection_cache"])

    def test_a_wrong_password_is_said_and_not_tried_again(self, server, place):
        store = open_store(place, server.user, "wrong", timeout=10)
        with pytest.raises(DocumentsRefusedError, match="documents_user"):
            read(store, NAME)

    @pytest.mark.parametrize("place", ["none", "none/x", "rois/none"])
    def test_a_share_or_folder_that_is_not_there(self, server, place):
        store = open_store(f"smb://127.0.0.1:{server.port}/{place}", server.user, server.password, timeout=10)
        with pytest.raises(DocumentsAwayError, match=f"The server has no smb://127.0.0.1/{place}"):
            read(store, NAME)
        store.close()

    def test_a_connection_that_is_lost_is_made_again(self, server, store, tmp_path, root):
        read(store, NAME)
        store._smb.cut()
        inbox = EmrInbox(tmp_path)
        inbox.write_rows("P1", {"documents": [row("7", NAME)]})
        assert fetch_all(store, inbox, ["P1"], lambda _: {}) == []
        assert [item.path.read_bytes() for item in inbox.documents("P1")] == [CONTENT]


@pytest.mark.system
def test_a_server_that_dies_in_mid_document_is_away(tmp_path):
    if missing_samba():
        pytest.skip(missing_samba())
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "big").write_bytes(bytes(5 * CHUNK))
    with samba(tmp_path / "share") as dying:
        store = open_store(dying.url, dying.user, dying.password, timeout=5)
        with store.open("big") as document:
            pieces = document.chunks()
            next(pieces)
            stop(dying.process)
            with pytest.raises(DocumentsAwayError, match="went away"):
                list(pieces)
        inbox = EmrInbox(tmp_path)
        inbox.write_rows("P1", {"documents": [row("7", "big")]})
        failures = fetch_all(store, inbox, ["P1"], lambda _: {})
    assert [failure.subject for failure in failures] == ["documents"]
    assert list(inbox.documents("P1")) == []


def test_a_server_that_never_answers_costs_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=silent.accept, daemon=True).start()
        store = open_store(f"smb://127.0.0.1:{silent.getsockname()[1]}/rois", "u", "p", timeout=1)
        started = time.monotonic()
        with pytest.raises(DocumentsAwayError, match="can't be reached"):
            read(store, "a.pdf")
        assert time.monotonic() - started < 5


def test_a_port_that_nobody_answers():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        store = open_store(f"smb://127.0.0.1:{closed.getsockname()[1]}/rois", "u", "p", timeout=1)
        with pytest.raises(DocumentsAwayError, match="can't be reached"):
            read(store, "a.pdf")


@pytest.mark.parametrize(
    "place", ["smb://server", "smb:///share", "relative", "http://server/x", "smb://h:99999/x"]
)
def test_other_places_are_refused(place):
    with pytest.raises(UsageError, match="documents"):
        open_store(place)


@given(st.text(max_size=40))
def test_any_name_stays_below_the_root_or_is_refused(file):
    try:
        names = names_of(file)
    except DocumentError:
        return
    joined = os.path.normpath("/root/" + "/".join(names))
    assert joined.startswith("/root/")
    assert not any(set(name) & set("/\\:\0") or name in (".", "..") for name in names)


# into the inbox


def row(key, file, **more):
    return Row(
        "documents", {"patient_id": "P1", "document_key": key, "file": file, "title": "Anna Test", **more}
    )


@pytest.fixture
def fetched(tmp_path):
    """Fetch the documents of one patient; returns the inbox and the failures of the run."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.pdf").write_bytes(b"one")
    (root / "b.pdf").write_bytes(b"two")

    def fetch(*rows, held=None, store=None):
        inbox = EmrInbox(tmp_path / "run")
        inbox.write_rows("P1", {"documents": list(rows)})
        failures = fetch_all(store or FolderStore(str(root)), inbox, ["P1"], lambda _: held or {})
        return inbox, failures

    return fetch


def test_documents_go_into_the_inbox_under_their_keys(fetched):
    inbox, failures = fetched(row("7/1", "a.pdf"), row("7/2", "b.pdf"))
    assert {(item.key, item.file_name, item.path.read_bytes()) for item in inbox.documents("P1")} == {
        ("7/1", "a.pdf", b"one"),
        ("7/2", "b.pdf", b"two"),
    }
    assert (inbox.known("P1"), failures, inbox.failures("P1")) == ({}, [], [])


def test_what_the_vault_has_already_is_noted_and_not_kept_again(fetched):
    oid = hashlib.sha1(b"blob 3\0one").hexdigest()
    inbox, _ = fetched(row("7/1", "a.pdf"), row("7/2", "b.pdf"), held={safe_name("7/1"): oid, "x": oid})
    assert inbox.known("P1") == {"7/1": KnownDocument("a.pdf", oid)}
    assert [item.key for item in inbox.documents("P1")] == ["7/2"]


def test_one_that_fails_costs_the_others_nothing_and_names_nobody(fetched):
    inbox, failures = fetched(row("1", "none.pdf"), row("2", "..\\..\\x"), row("3", "a.pdf"), row("4", None))
    assert failures == []
    assert [failure.subject for failure in inbox.failures("P1")] == ["document 1", "document 2", "document 4"]
    assert all(
        "Anna" not in failure.reason and "none.pdf" not in failure.reason for failure in inbox.failures("P1")
    )
    assert [item.key for item in inbox.documents("P1")] == ["3"]


def test_a_store_that_goes_away_ends_the_fetch_and_keeps_what_came(fetched, tmp_path):
    inbox, failures = fetched(row("1", "a.pdf"), store=FolderStore(str(tmp_path / "gone")))
    assert [failure.subject for failure in failures] == ["documents"]
    assert list(inbox.documents("P1")) == []


class Flickering:
    """A document that is written to while it is read, for the first times."""

    AT_ONCE = 1
    size = 3

    def __init__(self, times):
        self.times = times

    def open(self, file):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def close(self):
        return None

    def chunks(self):
        yield b"one"
        self.times -= 1
        if self.times >= 0:
            raise ChangedWhileReadError("changed.")


def test_a_patient_whose_repository_is_damaged_costs_the_others_nothing(tmp_path):
    inbox, patients = EmrInbox(tmp_path / "run"), ["P1", "P2", "P3"]
    for patient in patients:
        (tmp_path / f"{patient}.pdf").write_bytes(b"one")
        inbox.write_rows(patient, {"documents": [row("7/1", f"{patient}.pdf")]})

    def held(patient):
        if patient == "P2":
            raise IntegrityError("damaged")
        return {}

    failures = fetch_all(FolderStore(str(tmp_path)), inbox, patients, held)
    assert [(failure.subject, failure.reason) for failure in failures] == [("documents", "damaged")]
    assert [len(list(inbox.documents(patient))) for patient in patients] == [1, 0, 1]


class Vanishing:
    """A store that goes away after some documents; counts how often it was asked then."""

    AT_ONCE = 2
    size = 3

    def __init__(self, documents):
        self.left = documents
        self.asked_too_late = 0
        self.asking = threading.Lock()

    @contextmanager
    def open(self, file):
        with self.asking:
            self.left -= 1
            self.asked_too_late += self.left < 0
            if self.left < 0:
                raise DocumentsAwayError("gone.")
        yield self

    def chunks(self):
        yield b"one"

    def close(self):
        return None


@pytest.mark.parametrize("documents", [0, 1, 8, 9, 40])
def test_a_store_that_goes_away_keeps_what_came_until_then_and_is_left_alone(
    tmp_path, monkeypatch, documents
):
    monkeypatch.setattr("vault.rois.documents.AT_A_TIME", 8)
    inbox, patients, store = EmrInbox(tmp_path), [f"P{number}" for number in range(5)], Vanishing(documents)
    same = blob_hash(3)
    same.update(b"one")
    for patient in patients:
        inbox.write_rows(patient, {"documents": [row(str(number), f"{number}.pdf") for number in range(5)]})
    failures = fetch_all(store, inbox, patients, lambda _: {"1": same.hexdigest()})
    assert [(failure.subject, failure.reason) for failure in failures] == (
        [("documents", "gone.")] if documents < 25 else []
    )
    came = [item for patient in patients for item in inbox.documents(patient)]
    known = [key for patient in patients for key in inbox.known(patient)]
    assert len(came) + len(known) == min(documents, 25)
    assert set(known) <= {"1"}
    assert store.asked_too_late <= store.AT_ONCE * 2  # each thread once more on a new connection, then nobody


def test_failures_stand_in_the_order_of_the_rows_behind_those_of_the_database(tmp_path):
    inbox = EmrInbox(tmp_path / "run")
    before = Failure("query plans", "why")
    rows = {"documents": [row(str(number), "none.pdf") for number in range(9)]}
    inbox.write_rows("P1", rows, [before])
    assert fetch_all(FolderStore(str(tmp_path)), inbox, ["P1"], lambda _: {}) == []
    subjects = [failure.subject for failure in inbox.failures("P1")]
    assert subjects == ["query plans", *(f"document {number}" for number in range(9))]
    assert inbox.rows("P1") == rows


def test_of_a_key_in_two_rows_the_first_is_fetched(fetched):
    inbox, _ = fetched(row("1", "a.pdf"), row("1", "b.pdf"))
    (document,) = inbox.documents("P1")
    assert document.path.read_bytes() == b"one"


@pytest.mark.parametrize(("times", "kept"), [(1, 1), (2, 0)])
def test_a_document_that_changes_is_read_again_once(fetched, times, kept):
    inbox, _ = fetched(row("1", "a.pdf"), store=Flickering(times))
    assert len(list(inbox.documents("P1"))) == kept
    assert len(inbox.failures("P1")) == 1 - kept


MEMORY = """
import resource, sys
from pathlib import Path
from vault.model import Row
from vault.rois.documents import fetch_all, open_store
from vault.rois.emr_inbox import EmrInbox
place, user, password, run = sys.argv[1:]
store, inbox = open_store(place, user, password), EmrInbox(Path(run))
for size in ("small", "big"):
    inbox.write_rows("P1", {"documents": [Row("documents", {"document_key": size, "file": size})]})
    assert fetch_all(store, inbox, ["P1"], lambda _: {}) == []
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(sorted(item.path.stat().st_size for item in inbox.documents("P1")))
"""


def passes_in_flat_memory(root, place, user, password, run):
    with (root / "big").open("wb") as file:
        file.truncate(100_000_000)
    (root / "small").write_bytes(bytes(5 * CHUNK))
    command = [sys.executable, "-c", MEMORY, place, user, password, run]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    before, after, sizes = done.stdout.splitlines()
    assert sizes == f"[{5 * CHUNK}, 100000000]"
    assert int(after) - int(before) < 16_000  # kilobytes


def test_a_document_of_100_mb_passes_in_flat_memory(tmp_path):
    (tmp_path / "root").mkdir()
    passes_in_flat_memory(tmp_path / "root", str(tmp_path / "root"), "", "", tmp_path / "run")


@pytest.mark.system
def test_a_document_of_100_mb_passes_from_the_share_in_flat_memory(server, tmp_path):
    passes_in_flat_memory(server.share, server.url, server.user, server.password, tmp_path / "run")
