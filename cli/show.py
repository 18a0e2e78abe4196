"""`vault show`: one object of a patient, or what a folder of the history holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from cli.history import SHORT, page, patient_history
from cli.text import printable
from vault.errors import UsageError

if TYPE_CHECKING:
    from vault.archive.repository import PatientRepository

_TEXTS = (".txt", ".json", "SHA256SUMS")


@click.command()
@click.argument("patient")
@click.argument("path", default="")
@click.option("--at", "revision", default="latest", metavar="REVISION", help="The commit to look in.")
@click.option("--raw", is_flag=True, help="The exact bytes on standard output, into a file or a pipe.")
@click.pass_obj
def show(context: Context, patient: str, path: str, revision: str, raw: bool) -> None:
    """Show the object of PATIENT at PATH: as text, or as its exact bytes with --raw.

    PATH is as `vault diff --json` lists it; the SOP Instance UID alone is enough. A folder's PATH lists what is in it;
    without PATH, the patient's whole tree begins there.
    """
    repository, _ = patient_history(context, patient)
    commit = repository.resolve(revision)
    tree = repository.tree(commit)
    found = _file(tree, path)
    where = {"patient": repository.patient_id, "commit": commit}
    if found is None:
        entries = _entries(tree, path.strip("/"))
        if not entries:
            raise UsageError(
                f"There is nothing at {printable(path)!r} in commit {commit[:SHORT]}. "
                "`vault show PATIENT` lists what there is; `vault log PATIENT` the commits to look in with --at."
            )
        if raw:
            raise UsageError(f"{printable(path) or 'The whole tree'!r} is a folder; --raw needs one file.")
        _print_folder(context, where, path.strip("/"), entries)
    elif raw:
        _print_bytes(repository, tree[found])
    else:
        _print_file(context, where, repository, tree, found)


def _file(tree: dict[str, str], path: str) -> str | None:
    """The path in the tree that `path` means: itself, or the object with that SOP Instance UID; None if no file."""
    if path in tree:
        return path
    named = [held for held in tree if held.endswith(".dcm") and PurePosixPath(held).stem == path]
    return named[0] if len(named) == 1 else None


def _entries(tree: dict[str, str], folder: str) -> dict[str, int]:
    """What lies directly in a folder: names (folders with a `/`) and how many files each stands for."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, int] = {}
    for path in tree:
        if path.startswith(prefix):
            name, mark, _ = path[len(prefix) :].partition("/")
            entries[name + mark] = entries.get(name + mark, 0) + 1
    return dict(sorted(entries.items()))


def _print_folder(context: Context, where: dict[str, str], folder: str, entries: dict[str, int]) -> None:
    if context.json:
        listed = [{"name": name, "files": number} for name, number in entries.items()]
        context.emit({**where, "path": folder, "entries": listed})
    else:
        page(
            f"{printable(name)}  ({number} files)" if name.endswith("/") else printable(name)
            for name, number in entries.items()
        )


def _print_bytes(repository: PatientRepository, oid: str) -> None:
    """Copy a blob to standard output, in memory of one size."""
    from vault.files import CHUNK

    if sys.stdout.isatty():
        raise UsageError("--raw writes bytes that a terminal can't show: add `> FILE`, or pipe them on.")
    with repository.stream(oid) as blob:
        while piece := blob.read(CHUNK):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _print_file(
    context: Context, where: dict[str, str], repository: PatientRepository, tree: dict[str, str], path: str
) -> None:
    text = path.removesuffix(".dcm") + ".txt" if path.endswith(".dcm") else path
    oid = tree.get(text, "") if text.endswith(_TEXTS) else ""
    if context.json:
        said: dict[str, Any] = {
            **where,
            "path": path,
            "blob": tree[path],
            "size": repository.size(tree[path]),
        }
        context.emit({**said, "text": repository.read(oid).decode("utf-8", "replace") if oid else None})
    elif oid:
        page(_lines(repository, oid))
    else:
        raise UsageError(f"{printable(path)} is no text: add --raw, and `> FILE` to keep its bytes.")


def _lines(repository: PatientRepository, oid: str) -> Iterator[str]:
    """The lines of a text blob, as they are read, without what could command a terminal."""
    from vault.files import CHUNK

    rest = b""
    with repository.stream(oid) as blob:
        while piece := blob.read(CHUNK):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (printable(line.decode("utf-8", "replace")) for line in whole)
    if rest:
        yield printable(rest.decode("utf-8", "replace"))
