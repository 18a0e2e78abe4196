"""The mail outbox: queued once, handed over once, nothing lost, wherever the process is killed."""

from __future__ import annotations

import errno
import itertools
import stat
from collections import Counter
from pathlib import Path

import faults
import pytest
from filelock import FileLock
from mail_kit import Log, Recorder, killed_at, message, read

from vault import files
from vault.mail import outbox
from vault.mail.maildir import MaildirTransport
from vault.mail.transport import DeferredError, Letter, RefusedError, UnavailableError


def test_a_message_waits_for_each_recipient_and_goes_once(tmp_path: Path) -> None:
    message_id = outbox.queue(tmp_path, message("ann@test.local", "ben@test.local"), "digest 1")
    assert len(outbox.waiting(tmp_path)) == 2
    way = Recorder()
    result = outbox.deliver(tmp_path, way)
    assert (result.sent, result.waiting, result.refused, result.failed) == (2, 0, 0, [])
    assert {letter.recipient for letter in way.letters} == {"ann@test.local", "ben@test.local"}
    assert {letter.sender for letter in way.letters} == {"vault@test.local"}
    for letter in way.letters:
        assert letter.data.isascii()
        assert read(letter.data)["Message-ID"] == message_id
        assert read(letter.data).get_content().replace("\r\n", "\n") == "Grüße\n"
    assert outbox.deliver(tmp_path, way).sent == 0
    assert way.sessions == 1, "nobody is called where nothing waits"


def test_queueing_again_is_no_second_message(tmp_path: Path) -> None:
    first = outbox.queue(tmp_path, message(), "digest 1")
    assert outbox.queue(tmp_path, message(subject="other words"), "digest 1") == first
    way = Recorder()
    outbox.deliver(tmp_path, way)
    assert outbox.queue(tmp_path, message(), "digest 1") == first
    assert outbox.known(tmp_path, "digest 1", "ANN@test.local")
    outbox.deliver(tmp_path, way)
    assert [read(letter.data)["Subject"] for letter in way.letters] == ["vault: test"]
    assert outbox.queue(tmp_path, message(), "digest 2") != first
    assert not outbox.known(tmp_path, "digest 3", "ann@test.local")


def test_the_message_id_says_nothing(tmp_path: Path) -> None:
    message_id = outbox.queue(tmp_path, message(), "digest 20261124T020000Z-3f9c Ann")
    assert message_id.endswith("@test.local>")
    assert "20261124" not in message_id
    assert "Ann" not in message_id


def test_what_is_not_taken_now_goes_later_and_holds_up_nobody(tmp_path: Path) -> None:
    for number, name in enumerate(("ann", "ben", "cem")):
        outbox.queue(tmp_path, message(f"{name}@test.local"), f"digest {number}")

    def fails(letter: Letter) -> None:
        if letter.recipient == "ben@test.local":
            raise DeferredError("The mail server is busy.")

    way = Recorder(fails)
    result = outbox.deliver(tmp_path, way)
    assert [letter.recipient for letter in way.letters] == ["ann@test.local", "cem@test.local"], "in order"
    assert (result.sent, result.waiting) == (2, 1)
    assert [failure.reason for failure in result.failed] == [
        "The mail server is busy. It goes with the next delivery."
    ]
    assert outbox.deliver(tmp_path, Recorder()).sent == 1


def test_a_server_that_is_away_ends_the_delivery_with_one_failure(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local", "ben@test.local"), "digest 1")

    def fails(letter: Letter) -> None:
        raise UnavailableError("The mail server mail.example:465 can't be reached.")

    result = outbox.deliver(tmp_path, Recorder(fails))
    assert (result.sent, result.waiting, len(result.failed)) == (0, 2, 1)


def test_what_is_refused_for_good_is_said_once_and_kept(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local", "ben@test.local"), "digest 1")

    def fails(letter: Letter) -> None:
        if letter.recipient == "ann@test.local":
            raise RefusedError("The mail server does not know ann@test.local (550 no such user).")

    result = outbox.deliver(tmp_path, Recorder(fails))
    assert (result.sent, result.waiting, result.refused) == (1, 0, 1)
    assert "550 no such user" in result.failed[0].reason
    assert str(tmp_path / "mail/refused") in result.failed[0].reason
    (kept,) = outbox.refused(tmp_path)
    assert (kept.recipient, "550 no such user" in kept.reason) == ("ann@test.local", True)
    again = Recorder()
    assert outbox.deliver(tmp_path, again).failed == []
    assert again.letters == []
    outbox.queue(tmp_path, message("ann@test.local"), "digest 1")
    assert outbox.waiting(tmp_path) == [], "refused is not forgotten"
    kept.path.rename(tmp_path / "mail/outbox" / kept.path.name)  # as the documentation says
    assert outbox.deliver(tmp_path, again).sent == 1
    assert read(again.letters[0].data)["Subject"] == "vault: test"
    assert outbox.refused(tmp_path) == []


def test_a_damaged_or_strange_file_is_said_and_holds_up_nobody(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "digest 1")
    (path,) = outbox.waiting(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-3] + b"xyz")
    for name, content in (("0" * 32 + ".mail", b""), ("1" * 32 + ".mail", b"[1]\nx"), ("note.txt", b"hello")):
        (path.parent / name).write_bytes(content)
    (path.parent / f"{'2' * 32}.mail").mkdir()
    outbox.queue(tmp_path, message("ben@test.local"), "digest 1")
    way = Recorder()
    result = outbox.deliver(tmp_path, way)
    assert [letter.recipient for letter in way.letters] == ["ben@test.local"]
    assert (result.waiting, len(result.failed)) == (5, 5)
    assert all("move it away" in failure.reason for failure in result.failed)


def test_a_letter_that_the_disk_does_not_give_back_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "digest 1")
    (bad,) = outbox.waiting(tmp_path)
    outbox.queue(tmp_path, message("ben@test.local"), "digest 1")
    read_bytes = Path.read_bytes

    def from_a_bad_disk(path: Path) -> bytes:
        if path == bad:
            raise OSError(5, "Input/output error")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", from_a_bad_disk)
    way = Recorder()
    result = outbox.deliver(tmp_path, way)
    assert [letter.recipient for letter in way.letters] == ["ben@test.local"]
    assert len(result.failed) == 1


def test_a_letter_that_another_delivery_takes_away_is_no_failure(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "digest 1")
    (path,) = outbox.waiting(tmp_path)
    (path.parent / f"{'3' * 32}.mail").symlink_to("gone")  # listed, and not there when it is looked at
    assert path in outbox.waiting(tmp_path)


def test_everything_is_private(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message(), "digest 1")
    outbox.deliver(tmp_path, MaildirTransport(tmp_path / "out"))
    outbox.queue(tmp_path, message(), "digest 2")
    made = [
        tmp_path / "mail",
        *(tmp_path / "mail").rglob("*"),
        tmp_path / "out",
        *(tmp_path / "out").rglob("*"),
    ]
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert len(made) > 8


def test_only_one_delivery_at_a_time(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message(), "digest 1")
    with FileLock(tmp_path / "mail/lock"):
        way = Recorder()
        assert outbox.deliver(tmp_path, way).waiting == 1
        assert way.letters == []
    assert outbox.deliver(tmp_path, way).sent == 1


def test_a_message_without_an_envelope_is_a_mistake(tmp_path: Path) -> None:
    for header in ("From", "To", "Date"):
        made = message()
        del made[header]
        with pytest.raises(ValueError, match="From, To and Date"):
            outbox.queue(tmp_path, made, "x")


def test_records_of_sent_mail_do_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SENT_KEPT", 3)
    for number in range(5):
        outbox.queue(tmp_path, message(), f"digest {number}")
        outbox.deliver(tmp_path, Recorder())
    known = [outbox.known(tmp_path, f"digest {number}", "ann@test.local") for number in range(5)]
    assert known == [False, False, True, True, True]


def test_a_letter_that_could_not_be_recorded_does_not_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a full disk would mail it again with every run."""
    outbox.queue(tmp_path, message(), "digest 1")
    way = Recorder()

    def full(target: Path, data: bytes, *, replace: bool = False) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_file", full)
        with pytest.raises(OSError, match="No space left"):
            outbox.deliver(tmp_path, way)
    assert way.letters == []
    assert outbox.deliver(tmp_path, way).sent == 1
    assert [path.name for path in (tmp_path / "mail/sent").iterdir()] == [
        outbox.letter_id("digest 1", "ann@test.local")
    ]


# --- killed anywhere


KEYS = ("digest 1", "digest 2")
PEOPLE = ("ann@test.local", "ben@test.local")


def night(root: Path, log: Log) -> None:
    """Two messages to two people: one is refused for one of them, all else goes."""

    class Way(Log):
        def send(self, letter: Letter) -> None:
            if letter.recipient == PEOPLE[1] and letter.id == outbox.letter_id(KEYS[1], PEOPLE[1]):
                raise RefusedError("The mail server does not know ben@test.local.")
            super().send(letter)

    for key in KEYS:
        outbox.queue(root, message(*PEOPLE, subject=key), key)
    outbox.deliver(root, Way(log.path))


def swept(memory: Path) -> list[faults.Fault]:
    """A kill at every operation on the outbox's files, and an error at every third."""
    (memory / "count").mkdir()
    code, points = killed_at(
        memory / "count", None, lambda: night(memory / "count", Log(memory / "count-log"))
    )
    assert code == 0
    kills, errors = itertools.cycle(("before", "torn")), itertools.cycle(("ENOSPC", "EIO", "short"))
    places = range(1, len(points) + 1)
    return [faults.Fault(at, next(kills)) for at in places] + [
        faults.Fault(at, next(errors)) for at in places[::3]
    ]


def test_killed_at_any_point_nothing_is_lost_and_nothing_goes_twice_but_the_one_in_doubt(
    memory: Path,
) -> None:
    plans = swept(memory)
    assert len(plans) > 80
    wrong = []
    for number, fault in enumerate(plans):
        root, log = memory / f"v{number}", Log(memory / f"log{number}")
        root.mkdir()
        code, _ = killed_at(root, fault, lambda root=root, log=log: night(root, log))
        night(root, log)
        sent = Counter(log.lines())
        if code not in {0, 1, faults.KILLED}:
            wrong.append(f"{fault}: exit code {code}")
        if len({line.split()[0] + line.split()[1] for line in sent}) != 3:
            wrong.append(f"{fault}: {sorted(sent)}")
        if sum(sent.values()) > 4:
            wrong.append(f"{fault}: more than one in doubt: {sent}")
        if [refused.recipient for refused in outbox.refused(root)] != [PEOPLE[1]]:
            wrong.append(f"{fault}: refused {outbox.refused(root)}")
        leftovers = [path.name for path in root.rglob("*") if path.name.startswith(files.TEMPORARY_PREFIX)]
        if outbox.waiting(root) or leftovers:
            wrong.append(f"{fault}: left {outbox.waiting(root)} {leftovers}")
    assert wrong == [], "\n".join(wrong)


def test_into_a_maildir_nothing_goes_twice_at_all(memory: Path) -> None:
    """A maildir can be looked into, so even the letter that was in doubt is put there once."""

    def deliver(root: Path) -> None:
        outbox.queue(root, message(*PEOPLE), "digest")
        outbox.deliver(root, MaildirTransport(root / "out"))

    (memory / "count").mkdir()
    _, points = killed_at(memory / "count", None, lambda: deliver(memory / "count"))
    assert len(points) > 30
    for at in range(1, len(points) + 1):
        root = memory / f"v{at}"
        root.mkdir()
        killed_at(
            root, faults.Fault(at, ("before", "after", "torn")[at % 3]), lambda root=root: deliver(root)
        )
        deliver(root)
        found = [read(path.read_bytes()) for path in (root / "out/new").iterdir()]
        assert len(found) == 2, at
        assert len({mail["Message-ID"] for mail in found}) == 1
        assert not list((root / "out/tmp").iterdir())
        assert outbox.waiting(root) == []
