"""The share: whether it has all that the vault needs, of the right length and, with an identity, the right content."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vault.archive import smallpack
from vault.archive.bare import BareRepository
from vault.archive.ledger import Ledger
from vault.archive.refs import BRANCHES, history_ref, shared_ref
from vault.audit.findings import Finding, Level
from vault.errors import IntegrityError, VaultError
from vault.files import private_folder
from vault.share import envelope, layout, manifest
from vault.share.backend import Share, ShareUnavailableError
from vault.share.envelope import Identities
from vault.share.fetch import LARGEST_PACK, Fetcher
from vault.share.needed import manifests

SUBJECT = "share"

_AGAIN = (
    "Find out who changed it, move it away; then `git update-ref -d refs/vault/shared` and `refs/vault/history` (and "
    "`-hourly`) in the repository have the next `vault sync` bring it anew."
)


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that the share must have."""

    name: str
    repository: BareRepository
    oid: str
    """Of a blob, or of a commit."""
    kind: str
    """`blob`, `commit`, or `ledger`: a commit of the ledger with its event."""

    def plaintext(self) -> bytes:
        """What a commit's file holds; blobs are compared by their ids."""
        objects = list(self.repository.structure(self.oid))
        if self.kind == "ledger":
            parent = self.repository.commit_info(self.oid).parent
            new = (blob for _, _, blob in self.repository.changed_paths(parent, self.oid) if blob)
            objects += [smallpack.GitObject("blob", self.repository.read(blob)) for blob in new]
        return smallpack.encode(list(dict.fromkeys(objects)))

    def size(self) -> int:
        """Bytes of its plaintext."""
        return self.repository.size(self.oid) if self.kind == "blob" else len(self.plaintext())


def expected(
    repositories: list[BareRepository], ledger: Ledger, key: bytes, marks: bool = True
) -> Iterator[Expected]:
    """Yield what the share must have of these repositories: up to what is marked as shared, each file once."""
    seen: set[str] = set()
    for repository in [*repositories, *([ledger.repository] if ledger.repository else [])]:
        of_ledger = repository is ledger.repository
        for branch in BRANCHES:
            for each in _of_branch(repository, branch, key, of_ledger, marks):
                if each.name not in seen:
                    seen.add(each.name)
                    yield each


def _of_branch(
    repository: BareRepository, branch: str, key: bytes, of_ledger: bool, marks: bool
) -> Iterator[Expected]:
    shared, known = repository.ref(shared_ref(branch)), repository.ref(history_ref(branch))
    blobs, commits = not marks, not marks
    for commit in repository.log(branch):
        blobs |= commit.oid == shared
        commits |= commit.oid == known
        if commits:
            folder, kind = (layout.LEDGER, "ledger") if of_ledger else (layout.HISTORY, "commit")
            yield Expected(layout.commit_name(key, commit.oid, folder), repository, commit.oid, kind)
        if blobs and not of_ledger:
            for _, _, new in repository.changed_paths(commit.parent, commit.oid):
                if new is not None:
                    yield Expected(layout.blob_name(key, new), repository, new, "blob")


def presence(
    share: Share,
    wanted: list[Expected],
    waiting: set[str],
    ignored: set[str],
    newest: str | None,
    findings: list[Finding],
) -> tuple[list[Expected], int]:
    """Find out what is missing; returns what is there, and how many files nothing here needs. Raises ShareError.

    `newest` is the name of the vault's newest manifest, where this computer remembers it.
    """
    there = set(share.list(f"{layout.ROOT}/"))
    missing = [each for each in wanted if each.name not in there and each.name not in waiting]
    if missing:
        findings.append(
            Finding(
                Level.INTEGRITY,
                SUBJECT,
                f"{len(missing)} of {len(wanted)} files are missing, {missing[0].name} first",
                _AGAIN,
            )
        )
    if wanted and not any(name.startswith(layout.MANIFESTS) for name in waiting):
        findings.extend(_manifests(manifests(there), newest))
    known = {each.name for each in wanted} | ignored | set(manifests(there))
    return [each for each in wanted if each.name in there], len(there - known - waiting)


def _manifests(there: list[str], newest: str | None) -> Iterator[Finding]:
    """Whether the manifest that a restore would take, of those that are there (newest first), is the vault's own."""
    if not there:
        text = "there is no manifest: nobody could restore from it"
        yield Finding(Level.INTEGRITY, SUBJECT, text, "`vault sync` writes one.")
    elif newest is not None and newest not in there:
        text = f"the vault's newest manifest is missing: {newest}"
        yield Finding(
            Level.INTEGRITY, SUBJECT, text, "Find out who removed it; `vault sync` writes a new one."
        )
    elif newest is not None and layout.generation(there[0]) > layout.generation(newest):
        text = f"{there[0]} is newer than all that this vault wrote"
        yield Finding(Level.INTEGRITY, SUBJECT, text, "Find out who put it there, and move it away.")


def lengths(share: Share, files: list[Expected], go_on: Callable[[], bool]) -> Iterator[Finding]:
    """Yield the files that are no envelope of the right length. Raises ShareUnavailableError when it goes away."""
    for each in files:
        if not go_on():
            return
        try:
            with share.read(each.name) as file:
                head = b""
                while len(head) < envelope.HEADER_LIMIT and (
                    piece := file.read(envelope.HEADER_LIMIT - len(head))
                ):
                    head += piece
            payload = share.size(each.name) - envelope.header_size(head)
            if payload != envelope.payload_size(each.size()):
                raise IntegrityError("it is longer or shorter than it must be")
        except ShareUnavailableError:
            raise
        except VaultError as error:
            yield Finding(Level.INTEGRITY, SUBJECT, f"{each.name}: {error}", _AGAIN)


def contents(
    share: Share,
    files: list[Expected],
    identities: Identities,
    key: bytes,
    work: Path,
    done: Callable[[], None],
) -> Iterator[Finding]:
    """Open every file, and yield those that hold something else. Raises ShareUnavailableError, OSError."""
    fetcher = Fetcher(share, identities)
    with tempfile.TemporaryDirectory(dir=private_folder(work)) as folder:
        blobs = [each.oid for each in files if each.kind == "blob"]
        for oid, found in fetcher.blobs(key, blobs, Path(folder), lambda: True):
            if isinstance(found, VaultError):
                yield Finding(Level.INTEGRITY, SUBJECT, f"{layout.blob_name(key, oid)}: {found}", _AGAIN)
            elif found.file:
                found.file.unlink()
            done()
        for each in files:
            if each.kind != "blob":
                yield from _commit(fetcher, each)
                done()


def site_files(
    share: Share, oids: Iterable[str], identities: Identities, key: bytes, work: Path
) -> Iterator[Finding]:
    """Open the files of the site that a restore brings back. Raises ShareUnavailableError, OSError."""
    fetcher = Fetcher(share, identities)
    with tempfile.TemporaryDirectory(dir=private_folder(work)) as folder:
        for oid in oids:
            try:
                fetcher.blob(key, oid, Path(folder))
            except ShareUnavailableError:
                raise
            except VaultError as error:
                yield Finding(Level.INTEGRITY, SUBJECT, f"{layout.blob_name(key, oid)}: {error}", _AGAIN)


def _commit(fetcher: Fetcher, each: Expected) -> Iterator[Finding]:
    try:
        if fetcher.read(each.name, LARGEST_PACK) != each.plaintext():
            raise IntegrityError("it holds something else than this commit")
    except ShareUnavailableError:
        raise
    except VaultError as error:
        yield Finding(Level.INTEGRITY, SUBJECT, f"{each.name}: {error}", _AGAIN)


def newest_manifest(share: Share, identities: Identities, allowed: frozenset[bytes]) -> Iterator[Finding]:
    """Yield a finding unless the newest manifest is one of this vault's. Raises ShareUnavailableError."""
    for name in manifests(share.list(layout.MANIFESTS))[:1]:
        try:
            data = Fetcher(share, identities).read(name, manifest.LARGEST)
            manifest.verify(data, allowed)
            manifest.parse(data)
        except ShareUnavailableError:
            raise
        except VaultError as error:
            yield Finding(
                Level.INTEGRITY,
                SUBJECT,
                f"{name}: {error}",
                "Find out who changed it; `vault sync` writes a new one.",
            )
