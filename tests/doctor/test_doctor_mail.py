"""`vault doctor` on mail: the servers as they are, keys that end, letters that nobody took; nothing is sent."""

from __future__ import annotations

import datetime
from pathlib import Path

import mailservers
import msgspec
import pytest
from mail_kit import Recorder, message

from vault import config
from vault.config import Config, Mail, MailRecipient
from vault.doctor.check import Check
from vault.doctor.mail import check_mail
from vault.mail import outbox
from vault.mail.transport import Letter, RefusedError

NOW = datetime.datetime(2026, 11, 24, 4, 0, tzinfo=datetime.UTC)
ANN = MailRecipient(name="Ann", address="ann@test.local")
REST = """\
[site]
name = "Oncology"
timezone = "Europe/Zurich"
[vault]
root = "."
[rois.dicom]
ae_title = "ROIS"
host = "127.0.0.1"
port = 104
[receiver]
ae_title = "VAULT"
host = "127.0.0.1"
port = 11112
[census]
patients = ["1"]
"""


def with_mail(folder: Path, mail: Mail | None = None, toml: str = "") -> Config:
    made = config.loads(REST + toml, folder / "vault.toml")
    return msgspec.structs.replace(made, mail=mail) if mail else made


def checks(made: Config) -> dict[str, Check]:
    return {check.name: check for check in check_mail(made, now=NOW)}


@pytest.mark.system
def test_servers_that_are_right_and_wrong(tmp_path: Path) -> None:
    if reason := mailservers.missing_mail_servers():
        pytest.skip(reason)
    with mailservers.mail_servers() as servers:
        for implicit in (True, False):
            found = checks(with_mail(tmp_path, toml=servers.toml(implicit=implicit)))
            assert all(check.ok for check in found.values()), found
            assert "takes mail for the account vault" in found["mail out"].text
            assert "can be read, folder INBOX" in found["answers"].text
        (tmp_path / "wrong").write_text("no\n")
        toml = servers.toml().replace(str(servers.password_file), str(tmp_path / "wrong"))
        found = checks(with_mail(tmp_path, toml=toml))
        assert (found["mail out"].ok, found["answers"].ok) == (False, False)
        assert "refuses the account" in found["mail out"].text
        assert "refuses the account" in found["answers"].text
        assert servers.inbox("ann") == [], "nothing was sent"


def test_maildirs_and_nothing_at_all(tmp_path: Path) -> None:
    mail = Mail(
        sender="v@test.local", maildir=tmp_path / "out", answers=tmp_path / "answers", recipients=(ANN,)
    )
    assert [check.ok for check in checks(with_mail(tmp_path, mail)).values()] == [True, True, True]
    without = checks(with_mail(tmp_path, msgspec.structs.replace(mail, answers=None)))
    assert without["answers"].off
    assert "neither certificate nor age key" in without["mail to Ann"].text
    (check,) = check_mail(with_mail(tmp_path), now=NOW)
    assert check.off
    (tmp_path / "file").write_text("")
    wrong = checks(
        with_mail(
            tmp_path, msgspec.structs.replace(mail, maildir=tmp_path / "file", answers=tmp_path / "file")
        )
    )
    assert (wrong["mail out"].ok, wrong["answers"].ok) == (False, False)


def test_a_certificate_that_ends_soon_and_a_letter_that_nobody_takes(tmp_path: Path) -> None:
    mailservers.make_certificates(tmp_path)  # for 30 days from today on
    ann = msgspec.structs.replace(ANN, certificate=tmp_path / "server.pem")
    ben = MailRecipient(name="Ben", address="ben@test.local", certificate=tmp_path / "no.pem")
    mail = Mail(sender="v@test.local", maildir=tmp_path / "out", recipients=(ann, ben))
    outbox.queue(tmp_path, message("ann@test.local"), "x")

    def fails(letter: Letter) -> None:
        raise RefusedError("The mail server does not take the mail to ann@test.local (550 who?).")

    outbox.deliver(tmp_path, Recorder(fails))
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=20)
    found = {check.name: check for check in check_mail(with_mail(tmp_path, mail), now=now)}
    assert "ends on" in found["mail to Ann"].text
    assert "can't be read" in found["mail to Ben"].text
    assert "550 who?" in found["mail to ann@test.local"].text
    assert str(tmp_path / "mail/outbox") in found["mail to ann@test.local"].fix
