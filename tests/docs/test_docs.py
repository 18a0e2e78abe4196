"""The documents are true: every command, key, default, exit code, message and link that they name exists."""

from __future__ import annotations

import errno
import os
import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from cli.main import COMMANDS, main
from cli.main import vault as group
from vault import config, setup
from vault.config.model import Config
from vault.config.reader import kind_of, sections_of
from vault.config.section import Section
from vault.errors import ExitCode

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]

OFF = {"rois.sql", "share", "mail", "mail.recipients", "retention", "network", "normal.volatile"}
"""Sections that the template leaves out."""

NOT_DEFAULTS = {"identity", "maildir", "answers"}
"""Commented keys of the template whose value is an example, or another way than the one that is shown."""


def schema(
    model: type[Section] = Config, at: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo, Any]]:
    """Every key as section, field and type."""
    hints = typing.get_type_hints(model, include_extras=True)
    for field in msgspec.structs.fields(model):
        if (at, field.name) == ("", "path"):
            continue
        if kind_of(hints[field.name]):
            yield at, field, hints[field.name]
        else:
            yield from schema(sections_of(hints[field.name])[0], f"{at}.{field.encode_name}".strip("."))


SCHEMA = list(schema())
KEYS = {(section, field.encode_name) for section, field, _ in SCHEMA}


def test_the_schema_is_seen() -> None:
    assert {("rois.dicom", "port"), ("receiver.peers", "host"), ("normal.volatile", "reason")} <= KEYS


# --- the template


def template_keys() -> dict[tuple[str, str], bool]:
    """Keys of config/vault.toml, commented ones included, and whether each has a comment above it or its section."""
    keys = {}
    section, explained = "", False
    for line in setup.template().splitlines():
        if header := re.fullmatch(r"#?\[\[?([a-z.]+)\]\]?", line):
            section = header[1]
            keys[section, ""] = explained
            explained = keys[section, ""]
        elif key := re.match(r"#?([a-z_]+) = ", line):
            keys[section, key[1]] = explained
        else:
            explained = line.startswith("# ")
    return keys


def test_every_key_is_explained_in_the_template() -> None:
    keys = template_keys()
    named = {(section, key) for section, key in keys if key}
    peers = {("receiver.peers", "ae_title"), ("receiver.peers", "host")}  # stand in one line: peers = [{…}]
    assert ("receiver", "peers") in named
    assert named - {("receiver", "peers")} == KEYS - peers
    together = {("census", "days"), ("normal.volatile", "attribute"), ("normal.volatile", "reason")}
    assert {key for key, explained in keys.items() if not explained and key[1]} <= together | {
        ("rois.dicom", key) for key in ("ae_title", "host", "port")
    } | {("receiver", "port"), ("network", "up"), ("share", "url"), ("rois.sql", "password_file")}


def test_the_template_is_one_file() -> None:
    assert (REPOSITORY / "config/vault.toml").read_text("utf-8") == setup.template()


def uncommented(text: str, sections: set[str]) -> str:
    """The template with `#key = …` made active in these sections."""
    lines, section = [], ""
    for line in text.splitlines():
        header = re.fullmatch(r"#?\[\[?([a-z.]+)\]\]?", line)
        section = header[1] if header else section
        key = re.match(r"#([a-z_]+) = ", line)
        active = section in sections and (header or (key and key[1] not in NOT_DEFAULTS))
        lines.append(line.removeprefix("#") if active else line)
    return "\n".join(lines)


def test_the_defaults_that_the_template_shows_are_the_defaults() -> None:
    text = setup.template()
    everything = {section for section, _ in template_keys()}
    shown = config.loads(uncommented(text, everything - OFF), Path("/x/vault.toml"))
    assert shown == config.loads(text, Path("/x/vault.toml"))


def test_the_sections_that_the_template_leaves_out_are_right() -> None:
    recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    text = setup.template().replace("recipients = []", f'recipients = ["{recipient}"]')
    cfg = config.loads(uncommented(text, OFF), Path("/x/vault.toml"))
    assert cfg.share
    assert cfg.rois.sql
    assert cfg.mail
    assert cfg.mail.sender == cfg.mail.imap_user
    assert cfg.network
    assert cfg.network.timeout == config.Network(up=(), down=()).timeout
    assert cfg.normal.volatile


# --- docs/configuration.md


def documented() -> dict[tuple[str, str], list[str]]:
    """Rows of the tables: (section, key) to allowed, default, meaning."""
    rows, section = {}, ""
    for line in (REPOSITORY / "docs/configuration.md").read_text("utf-8").splitlines():
        if header := re.fullmatch(r"## \[([a-z.]+)\]", line):
            section = header[1]
        elif row := re.fullmatch(r"\| `([a-z_]+)` \| (.*) \| (.*) \| (.*) \|", line):
            rows[section, row[1]] = list(row.groups())[1:]
    return rows


def test_every_key_is_in_the_table_of_its_section() -> None:
    assert documented().keys() - {("receiver", "peers")} == KEYS


@pytest.mark.parametrize(
    ("section", "field", "hint"),
    SCHEMA,
    ids=[f"{section}.{field.encode_name}" for section, field, _ in SCHEMA],
)
def test_the_documented_default_is_read_as_the_default(
    section: str, field: msgspec.structs.FieldInfo, hint: Any
) -> None:
    _, shown, meaning = documented()[section, field.encode_name]
    assert meaning
    if field.required:
        assert shown == "required"
    elif field.default is None:
        assert shown == "none"
    elif isinstance(field.default, tuple) and field.default:
        assert shown == " ".join(field.default)
    elif field.default is not msgspec.NODEFAULT:
        kind = kind_of(hint)
        assert kind is not None
        expected = Path("/x") / field.default if isinstance(field.default, Path) else field.default
        value = tomllib.loads(f"value = {shown.strip('`')}")["value"]
        assert kind.read(value, Path("/x")) == expected


# --- commands, exit codes, messages, links


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert re.search(rf"^\| `vault {name}\b[^|]*` \| \S", readme, re.MULTILINE)
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: vault {name} ")
    assert "--json" in said


def test_no_document_names_a_command_or_option_that_does_not_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["--help"])
    helps = {"": capsys.readouterr().out}
    for name in COMMANDS:
        main([name, "--help"])
        helps[name] = capsys.readouterr().out
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for line in re.findall(
            r"(?:`|^|[ /])vault (?:-c \S+ )?([a-z][^`\n#]*)", "\n".join(code_in(text)), re.MULTILINE
        ):
            name = line.split()[0]
            assert name in COMMANDS, f"{document.name}: vault {line}"
            for option in re.findall(r"(?<!\S)\[?(--[a-z-]+)", line):
                assert option in helps[name], f"{document.name}: vault {line}"


def code_in(text: str) -> list[str]:
    """Fenced blocks of shell and inline code."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return blocks + re.findall(r"`(vault [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_exit_codes_are_the_documented_ones() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| ([0-9]) \| [a-z]", readme, re.MULTILINE)
    assert [int(row) for row in rows] == list(ExitCode)


def test_messages_that_the_operator_is_told_of_exist() -> None:
    text = (REPOSITORY / "docs/operations.md").read_text("utf-8")
    messages = re.findall(r"^\| `([A-Z][^`]{9,})` \| ", text, re.MULTILINE)
    assert len(messages) > 5
    sources = " ".join(
        path.read_text("utf-8")
        for folder in ("vault", "cli", "hooks")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    sources += "".join(os.strerror(number) for number in errno.errorcode)
    assert [message for message in messages if message not in sources] == []


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs/decisions"
    index = (folder / "README.md").read_text("utf-8")
    for path in folder.glob("[0-9]*.md"):
        title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        number, _, rest = title.partition(" ")
        assert f"[{number}]({path.name}) | {rest} |" in index


def test_the_group_itself_has_the_common_options() -> None:
    assert isinstance(group, click.Group)
    assert {"-c", "--json", "-v", "--version"} <= {
        option for parameter in group.params for option in parameter.opts
    }
