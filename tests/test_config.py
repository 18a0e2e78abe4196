"""vault.toml: what it may say, and that every error names file, line, key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault import config
from vault.config.lines import key_lines
from vault.errors import ConfigError, ExitCode

LEAST = """\
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
patients = ["123", "A-7"]
"""

RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "vault.toml"
    path.write_text(text, "utf-8")
    return config.load(path)


def errors(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(tmp_path / "vault.toml") in str(caught.value)
    return str(caught.value).replace(str(tmp_path / "vault.toml"), "FILE")


def test_least_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    cfg = load(tmp_path, LEAST)
    assert cfg.path == tmp_path / "vault.toml"
    assert cfg.vault.root == tmp_path / "archive"
    assert cfg.vault.signing_key == tmp_path / "keys/signing_key"
    assert cfg.vault.pseudonym_key == tmp_path / "keys/pseudonym.key"
    assert cfg.vault.identity is None
    assert cfg.receiver.peers == (config.Peer(ae_title="ROIS", host="10.0.0.7"),)
    assert cfg.receiver.max_object_size == 4 << 30
    assert (cfg.retrieve.retries, cfg.retrieve.timeout, cfg.retrieve.backoff) == (3, 60.0, 2.0)
    assert cfg.retrieve.refresh["CT"] == "weekly"
    assert [cfg.retrieve.policy(modality) for modality in ("CT", "RTPLAN", "XX")] == [
        "weekly",
        "nightly",
        "nightly",
    ]
    assert cfg.census.patients == ("123", "A-7")
    assert "RTRECORD" in cfg.census.modalities
    assert cfg.share is None
    assert cfg.network is None
    assert cfg.normal.volatile == ()


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    text = LEAST.replace(
        'root = "archive"', f'root = "/srv/vault"\nrecipients = ["{RECIPIENT}"]\nidentity = "id"'
    )
    text = text.replace("port = 104", 'port = 104\nretrieve = "get"')
    text = text.replace(
        "port = 11112", 'port = 11112\nmax_object_size = "8GiB"\npeers = [{ae_title = "A", host = "h"}]'
    )
    text += """
days = 7
modalities = []
[retrieve]
refresh = {CT = "once", RTPLAN = "weekly"}
retries = 0
timeout = "1.5m"
backoff = "0s"
relational = true
model = "patient"
[share]
url = "file:///mnt/share"
[network]
up = "nmcli networking 'on now'"
down = ["nmcli", "networking", "off"]
check = ["true"]
timeout = "10s"
[[normal.volatile]]
attribute = "StationName"
reason = "whichever server answered"
"""
    cfg = load(tmp_path, text)
    assert cfg.vault.root == Path("/srv/vault")
    assert cfg.vault.recipients == (RECIPIENT,)
    assert cfg.receiver.peers == (config.Peer(ae_title="A", host="h"),)
    assert cfg.receiver.max_object_size == 8 << 30
    assert cfg.retrieve.timeout == 90.0
    assert cfg.retrieve.policy("CT") == "once"
    assert cfg.retrieve.policy("MR") == "weekly"
    assert cfg.census.modalities == ()
    assert cfg.network is not None
    assert cfg.network.up == ("nmcli", "networking", "on now")
    assert cfg.normal.volatile[0].reason == "whichever server answered"
    assert cfg.share == config.Share(url="file:///mnt/share")


def test_a_share_that_is_a_plain_path_starts_at_the_file(tmp_path: Path) -> None:
    text = LEAST.replace('root = "archive"', f'root = "archive"\nrecipients = ["{RECIPIENT}"]')
    cfg = load(tmp_path, text + '\n[share]\nurl = "my share"\n')
    assert cfg.share is not None
    assert cfg.share.url == (tmp_path / "my share").as_uri()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "port = 104",
            "port = 99999",
            "line 11: [rois.dicom] port = 99999: it must be a whole number from 1 to 65535",
        ),
        ("port = 104", 'port = "104"', 'line 11: [rois.dicom] port = "104": it must be a whole number'),
        ("port = 104", "port = true", "line 11: [rois.dicom] port = true"),
        ("port = 104", "", "line 8: [rois.dicom] port is missing: it must be a whole number from 1 to 65535"),
        (
            "port = 104",
            "prot = 104",
            "line 11: [rois.dicom] prot is not a key that vault knows. Did you mean port?",
        ),
        ("[census]", "[censsu]", "line 18: [censsu] is not a key that vault knows. Did you mean census?"),
        ("[site]", "[post]\n[site]", "line 1: [post] is not a key that vault knows. Known here: site, vault"),
        ("[receiver]", "[receiver.x]", "[receiver] ae_title is missing"),
        ('"ROIS"', '"A TITLE THAT IS TOO LONG"', "line 9: [rois.dicom] ae_title"),
        ('"ROIS"', '"A\\\\B"', "no backslash"),
        ('"ROIS"', '"ÄE"', "1 to 16 ASCII characters"),
        ('"ROIS"', '" ROIS"', "no space at either end"),
        ('"10.0.0.7"', '"rois:104"x', "line 10: this is not TOML"),
        ('"10.0.0.7"', '"ro is"', "line 10: [rois.dicom] host"),
        ('"Europe/Zurich"', '"Europe/Zürich"', "line 3: [site] timezone"),
        ('"Europe/Zurich"', '"../../etc/passwd"', "IANA time zone"),
        ('"Radiation Oncology"', '""', "line 2: [site] name"),
        ('["123", "A-7"]', '[\n"123",\n"*",\n]', "line 19: [census] patients"),
        ('["123", "A-7"]', '["1", ""]', "patient ID"),
        ('["123", "A-7"]', '["1", "1 "]', "stands there twice"),
        ('["123", "A-7"]', '"123"', '[census] patients = "123": it must be a list'),
        ('["123", "A-7"]', '["1"]\nsource = "all"', '"list" or "dicom" or "sql"'),
        ('["123", "A-7"]', '["1"]\nsource = "sql"', 'source = "sql" needs the table [rois.sql]'),
        (
            "[receiver]",
            '[rois.sql]\nqueries = "q"\nconnection = "x"\n[receiver]',
            "an ODBC connection string",
        ),
        (
            "[receiver]",
            '[rois.sql]\nqueries = "q"\nconnection = "UID=a; Pwd =hunter2"\n[receiver]',
            "connection = (a text with a password) (it holds a password; put that into a file",
        ),
        (
            "[receiver]",
            '[rois.sql]\nqueries = "q"\nconnection = "D=x"\ndocuments = "ftp://a/b"\n[receiver]',
            "it names no share",
        ),
        (
            "[receiver]",
            '[rois.sql]\nqueries = "q"\nconnection = "D=x"\ndocuments = "smb://me:pw@a/b"\n[receiver]',
            "put the account into documents_user",
        ),
        ('["123", "A-7"]', '["1"]\ndays = 0', "line 20: [census] days = 0"),
        ('["123", "A-7"]', '["1"]\n[retrieve]\ntimeout = "60"', "line 21: [retrieve] timeout"),
        ('["123", "A-7"]', '["1"]\n[retrieve]\ntimeout = "0s"', "from 1s to 1h"),
        ('["123", "A-7"]', '["1"]\n[retrieve]\nrefresh = {CT = "daily"}', "CT = 'daily' is not"),
        ('["123", "A-7"]', '["1"]\n[retrieve]\nrelational = 1', "true or false"),
        (
            '["123", "A-7"]',
            '["1"]\n[share]\nurl = "file:///x"',
            "[share] is on, but [vault] recipients is empty",
        ),
        ('["123", "A-7"]', '["1"]\n[share]\nurl = "ftp://x/y"', "line 21: [share] url"),
        ('["123", "A-7"]', '["1"]\n[network]\nup = ["a"]', "line 20: [network] down is missing"),
        ('["123", "A-7"]', '["1"]\n[network]\nup = "a\'b"\ndown = ["a"]', "quotation mark"),
        (
            '["123", "A-7"]',
            '["1"]\n[[normal.volatile]]\nattribute = "A"',
            "[normal.volatile] reason is missing",
        ),
        ('["123", "A-7"]', '["1"]\n[normal]\nvolatile = 3', "must be a list of tables"),
        ('root = "archive"', 'root = ""', "line 6: [vault] root"),
        ('root = "archive"', 'root = "a"\nrecipients = ["age1x"]', "line 7: [vault] recipients"),
        ('root = "archive"', 'root = "a"\nrecipients = ["AGE-SECRET-KEY-1X"]', "that is a secret key"),
        ("port = 11112", 'port = 1\npeers = [{ae_title = "A"}]', "line 17: [receiver.peers] host is missing"),
        ("port = 11112", 'port = 1\nmax_object_size = "4GB"', 'a size such as "512MiB" or "4GiB"'),
    ],
)
def test_an_error_names_line_key_value_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in LEAST
    message = errors(tmp_path, LEAST.replace(old, new, 1))
    assert said in message
    assert message.startswith("FILE")


def test_all_errors_are_listed_at_once(tmp_path: Path) -> None:
    message = errors(tmp_path, LEAST.replace("port = 104", "port = 0").replace("port = 11112", "prt = 11112"))
    assert len(message.splitlines()) == 3


def test_a_secret_key_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    secret = "AGE-SECRET-KEY-1" + "Q" * 58
    message = errors(tmp_path, LEAST.replace('root = "archive"', f'root = "a"\nrecipients = ["{secret}"]'))
    assert "Q" * 10 not in message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (LEAST.encode() + b"\xff", "line 20: not UTF-8"),
        (b"[site\n", "line 1: this is not TOML"),
        (b'[site]\nname = "x', "line 2: this is not TOML"),
        (b"x" * ((1 << 20) + 1), "larger than 1 MiB"),
        (b"", "[site] is missing"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "vault.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=r"vault\.toml") as caught:
        config.load(tmp_path / "vault.toml")
    assert said in str(caught.value)


def test_what_editors_on_windows_leave_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "vault.toml").write_bytes(b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode())
    assert config.load(tmp_path / "vault.toml").site.name == "Radiation Oncology"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vault init DIR"):
        config.load(tmp_path / "absent.toml")


@pytest.mark.parametrize("key", ["signing_key", "pseudonym_key", "identity"])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").touch(0o600)
    text = LEAST.replace('root = "archive"', f'root = "archive"\n{key} = "secret"')
    load(tmp_path, text)
    (tmp_path / "secret").chmod(0o640)
    message = errors(tmp_path, text)
    assert f"[vault] {key}" in message
    assert "chmod 600" in message


def test_a_configuration_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    load(tmp_path, LEAST)
    (tmp_path / "vault.toml").chmod(0o666)
    with pytest.raises(ConfigError, match="chmod o-w"):
        config.load(tmp_path / "vault.toml")


def test_lines_are_found_whatever_the_writing(tmp_path: Path) -> None:
    text = """\
# a comment with [brackets] = 1

[ "a".b ]
x = '''
[not.a.table]
y = 1
'''
c.d = {e = 1, f = [
1]}
[[l]]
k = 1
[[l]]
k = 2
[l.m]
n = 3
"""
    lines = key_lines(text)
    assert lines["a", "b", "x"] == 4
    assert lines["a", "b", "c", "d", "f"] == 8
    assert lines["l", 0, "k"] == 11
    assert lines["l", 1, "k"] == 13
    assert lines["l", 1, "m", "n"] == 15
    assert ("not",) not in lines


@given(st.text(max_size=300))
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        config.loads(text, Path("/x/vault.toml"))


values = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 70000), st.floats(), st.text(max_size=8), st.datetimes()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab", min_size=1), inner, max_size=2)
    ),
    max_leaves=3,
)


@given(value=values, line=st.sampled_from([line for line in LEAST.splitlines() if "=" in line]))
def test_any_value_is_accepted_or_explained(value: object, line: str) -> None:
    text = LEAST.replace(line, f"{line.partition('=')[0]}= {toml(value)}")
    try:
        config.loads(text, Path("/x/vault.toml"))
    except ConfigError as error:
        number = LEAST.splitlines().index(line) + 1
        assert str(error).startswith(f"/x/vault.toml, line {number}: [")  # noqa: PT017


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return (
                '"'
                + "".join(f"\\U{ord(letter):08x}" for letter in value if not "\ud800" <= letter < "\ue000")
                + '"'
            )
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f'"{key}" = {toml(entry)}' for key, entry in value.items()) + "}"
        case float() | int():
            return str(value)
    return str(value)


SQL = '[rois.sql]\nconnection = "DSN=rois"\nqueries = "queries/aria.toml"\n'


@pytest.mark.parametrize(
    ("documents", "read"),
    [
        ("docs", "FOLDER/docs"),
        ("/srv/docs", "/srv/docs"),
        (r"\\\\img\\va_docs$\\Documents", "smb://img/va_docs$/Documents"),
        ("smb://img/va_docs$/Documents", "smb://img/va_docs$/Documents"),
    ],
)
def test_documents_are_in_a_folder_or_on_a_share(tmp_path: Path, documents: str, read: str) -> None:
    cfg = load(tmp_path, LEAST + SQL + f'documents = "{documents}"\n')
    assert cfg.rois.sql is not None
    assert cfg.rois.sql.documents == read.replace("FOLDER", str(tmp_path))
    assert cfg.rois.sql.queries == tmp_path / "queries/aria.toml"


def test_a_password_stands_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hünter;2}\r\nand more")
    secret.chmod(0o600)
    text = LEAST + SQL + 'password_file = "secret"\n'
    cfg = load(tmp_path, text)
    assert cfg.rois.sql is not None
    assert cfg.rois.sql.password() == "hünter;2}"
    assert cfg.rois.sql.documents_password() is None
    secret.chmod(0o644)
    assert "[rois.sql] password_file: other users can read" in errors(tmp_path, text)
    secret.unlink()
    with pytest.raises(ConfigError, match=r"password_file: .* can't be read: No such file"):
        cfg.rois.sql.password()
