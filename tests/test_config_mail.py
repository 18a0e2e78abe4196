"""`[mail]` of vault.toml: what may be left out, and which combinations are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vault import config
from vault.config.mail_kinds import Server
from vault.errors import ConfigError

REST = """\
[site]
name = "Radiation Oncology"
timezone = "Europe/Zurich"
[vault]
root = "archive"
[rois.dicom]
ae_title = "ROIS"
host = "10.0.0.7"
port = 104
[receiver]
ae_title = "VAULT"
host = "10.0.0.8"
port = 11112
[census]
patients = ["123"]
"""

RECIPIENTS = """
[[mail.recipients]]
name = "Ann"
address = "ann@hospital.example"
[[mail.recipients]]
name = "Ben"
address = "ben@hospital.example"
"""


def mail_of(keys: str, recipients: str = RECIPIENTS) -> config.Mail:
    text = f'{REST}\n[mail]\nfrom = "vault@hospital.example"\n{keys}\n{recipients}'
    mail = config.loads(text, Path("/x/vault.toml")).mail
    assert mail is not None
    return mail


def test_a_server_and_recipients_are_enough() -> None:
    mail = mail_of('smtp = "smtps://mail.hospital.example"')
    assert mail.sender == "vault@hospital.example"
    assert mail.content == "limited"
    assert mail.smtp == Server("mail.hospital.example", 465, implicit_tls=True)
    assert (mail.user, mail.password_file, mail.ca, mail.timeout) == (None, None, None, 60.0)
    assert [recipient.name for recipient in mail.recipients] == ["Ann", "Ben"]
    assert mail.recipients[0].certificate is None


def test_the_account_of_imap_is_that_of_smtp_where_it_is_left_out() -> None:
    keys = 'smtp = "smtp://10.0.0.3"\nuser = "v"\npassword_file = "keys/mail"\nimap = "imap://[::1]:1143"'
    mail = mail_of(keys)
    assert mail.smtp == Server("10.0.0.3", 587, implicit_tls=False)
    assert mail.imap == Server("::1", 1143, implicit_tls=False)
    assert (mail.imap_user, mail.imap_password_file) == ("v", Path("/x/keys/mail"))
    own = mail_of(f'{keys}\nimap_user = "reader"\nimap_password_file = "keys/imap"')
    assert (own.imap_user, own.imap_password_file) == ("reader", Path("/x/keys/imap"))


def test_a_maildir_instead_of_a_server() -> None:
    mail = mail_of('maildir = "mail/out"\nanswers = "mail/answers"')
    assert (mail.maildir, mail.answers) == (Path("/x/mail/out"), Path("/x/mail/answers"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("10.0.0.1", False), ("mail.example", False)],
)
def test_what_is_this_computer(host: str, loopback: bool) -> None:
    server = mail_of(f'smtp = "smtp://{host}"').smtp
    assert server is not None
    assert server.is_loopback == loopback


SMTP = 'smtp = "smtp://mail.example"\n'


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "[mail] needs one of smtp and maildir"),
        (SMTP + 'maildir = "out"', "[mail] needs one of smtp and maildir"),
        ('smtp = "http://mail.example"', "[mail] smtp"),
        ('smtp = "smtps://user:secret@mail.example"', "the account goes into the keys"),
        ('smtp = "smtps://mail.example:99999"', "there is no such port"),
        ('smtp = "smtps://mail.example:0"', "there is no such port"),
        ('smtp = "smtps://mail.example/inbox"', "[mail] smtp"),
        ('smtp = "smtps://"', "[mail] smtp"),
        (SMTP + 'user = "v"', "[mail] user and password_file belong together"),
        (SMTP + 'password_file = "p"', "[mail] user and password_file belong together"),
        (SMTP + 'imap = "imaps://mail.example"', "[mail] imap needs an account"),
        (SMTP + 'imap = "smtps://mail.example"', "[mail] imap"),
        (
            SMTP + 'imap = "imaps://m.example"\nuser = "v"\npassword_file = "p"\nanswers = "a"',
            "[mail] has both imap and answers",
        ),
        (
            SMTP + 'insecure = true\nuser = "v"\npassword_file = "p"',
            "could send the password of smtp in clear",
        ),
        (
            'maildir = "m"\ninsecure = true\nimap = "imap://m.example"\nimap_user = "v"\nimap_password_file = "p"',
            "could send the password of imap in clear",
        ),
        (SMTP + 'content = "some"', '"full" or "limited"'),
        (SMTP + 'sender = "vault@hospital.example"', "[mail] sender is not a key that vault knows"),
    ],
)
def test_what_contradicts_itself_is_refused(keys: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mail_of(keys)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value) or "user:secret" not in said


def test_a_connection_without_tls_is_a_choice() -> None:
    assert mail_of(SMTP + "insecure = true").insecure
    local = 'smtp = "smtp://127.0.0.1"\ninsecure = true\nuser = "v"\npassword_file = "p"'
    assert mail_of(local).insecure


@pytest.mark.parametrize(
    ("recipients", "said"),
    [
        ("", "the table [mail.recipients] is missing"),
        ("recipients = []", "[mail] has no [[mail.recipients]]"),
        (RECIPIENTS.replace("Ben", "ANN"), "name ann stands there twice"),
        (
            RECIPIENTS.replace("ben@hospital", "ANN@Hospital"),
            "address ann@hospital.example stands there twice",
        ),
        (RECIPIENTS.replace("ben@hospital.example", "ben"), "a mail address such as"),
        (
            RECIPIENTS.replace("ben@hospital.example", "ben@x.example\\r\\nBcc: eve@x.example"),
            "a mail address such as",
        ),
        (RECIPIENTS.replace("ben@hospital.example", "Ben <ben@x.example>"), "a mail address such as"),
        (RECIPIENTS + 'age = "age1nonsense"', "an age public key"),
    ],
)
def test_recipients_are_different_people_with_an_address(recipients: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mail_of(SMTP, recipients)
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["password_file", "imap_password_file", "totp_file"])
def test_secrets_that_others_can_read_are_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "secret").chmod(0o640)
    keys = {
        "password_file": 'smtp = "smtps://m.example"\nuser = "v"\npassword_file = "secret"',
        "imap_password_file": 'maildir = "m"\nimap = "imaps://m.example"\nimap_user = "v"\n'
        'imap_password_file = "secret"',
        "totp_file": 'maildir = "m"',
    }[key]
    recipients = RECIPIENTS + ('totp_file = "secret"\n' if key == "totp_file" else "")
    path = tmp_path / "vault.toml"
    path.write_text(f'{REST}\n[mail]\nfrom = "vault@hospital.example"\n{keys}\n{recipients}')
    with pytest.raises(ConfigError, match=rf"{key}.*mode 0640.*chmod 600"):
        config.load(path)


def test_passwords_are_the_first_line_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pässword \r\nmore\n", "utf-8")
    mail = mail_of(
        f'smtp = "smtps://m.example"\nuser = "v"\npassword_file = "{tmp_path}/secret"\nimap = "imaps://m.example"'
    )
    assert mail.password() == mail.imap_password() == "pässword "
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match=r"\[mail\] password_file: .* can't be read"):
        mail.password()
