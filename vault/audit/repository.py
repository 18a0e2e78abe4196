"""One repository: its structure (refs, commits, signatures, folders, files), and all that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vault.archive import history, sums
from vault.archive.bare import LOCK, BareRepository
from vault.archive.gitaccess import run_git
from vault.archive.layout import foreign_settings
from vault.archive.refs import BRANCHES, is_mark
from vault.archive.repository import PatientRepository
from vault.audit.findings import Finding, Level
from vault.audit.packs import read_packs
from vault.errors import VaultError

RESTORE = (
    "`vault repair PATIENT --from-share` brings a patient's back and keeps the damaged one; `vault restore` into an "
    "empty folder brings any."
)

_EXPECTED = {"config", "HEAD", "objects", "refs", "packed-refs", LOCK}
_STRANGE = (
    "objects/info/alternates",
    "objects/info/http-alternates",
    "shallow",
    "info/grafts",
    "refs/replace",
    "hooks",
)
"""What would have git read, or run, something else than what the vault wrote."""


def structure(repository: BareRepository, subject: str, allowed: frozenset[bytes]) -> Iterator[Finding]:
    """Yield what is wrong, without reading the content of files. Raises nothing for the repository's sake."""
    yield from _files(repository.path, subject, of_patient=isinstance(repository, PatientRepository))
    try:
        run_git(repository.path, ["fsck", "--strict", "--connectivity-only", "--no-dangling", "--no-reflogs"])
        for branch in BRANCHES:
            yield from _branch(repository, branch, subject, allowed)
        tips = {repository.tip(branch) for branch in BRANCHES}
        for name, oid in repository.refs().items():
            if name.startswith("refs/vault/") and not is_mark(name) and oid not in tips:
                yield from _branch_of(repository, name, oid, subject)
    except VaultError as error:
        yield Finding(Level.INTEGRITY, subject, str(error), RESTORE)
    except OSError as error:
        yield _unreadable(subject, error)


def contents(repository: BareRepository, subject: str) -> Iterator[Finding]:
    """Read everything: every object against its id, every file against its `SHA256SUMS`. Yields what is wrong."""
    try:
        packed = read_packs(repository.path)
        if packed.foreign:
            run_git(repository.path, ["fsck", "--strict", "--full", "--no-dangling", "--no-reflogs"])
        for branch in BRANCHES:
            tree = repository.tree(repository.tip(branch))
            if sums.NAME in tree:
                sums.check(
                    tree, repository.read, lambda oid: packed.sha256.get(oid) or repository.digest(oid)
                )
    except VaultError as error:
        yield Finding(Level.INTEGRITY, subject, str(error), RESTORE)
    except OSError as error:
        yield _unreadable(subject, error)


def _files(path: Path, subject: str, *, of_patient: bool) -> Iterator[Finding]:
    try:
        unknown = sorted(
            found.name
            for found in path.iterdir()
            if found.name not in _EXPECTED and not found.name.startswith(".tmp-")
        )
        strange = [name for name in _STRANGE if (path / name).exists()]
        if unknown or strange:
            yield Finding(
                Level.INTEGRITY,
                subject,
                f"holds what the vault does not put there: {', '.join(dict.fromkeys([*unknown, *strange]))}",
                "Find out who did, then remove it; do not run git in it before.",
            )
        head = (path / "HEAD").read_bytes()
        if (
            head != b"ref: refs/heads/main\n"
            or (foreign := foreign_settings(path, of_patient=of_patient)) is None
        ):
            yield Finding(Level.INTEGRITY, subject, "its HEAD or its configuration is damaged", RESTORE)
        elif foreign:
            yield Finding(
                Level.INTEGRITY,
                subject,
                f"its configuration has settings that are not the vault's: {', '.join(foreign)}",
                "Find out who made them: git may run programs that a configuration names.",
            )
    except OSError as error:
        yield _unreadable(subject, error)


def _branch(
    repository: BareRepository, branch: str, subject: str, allowed: frozenset[bytes]
) -> Iterator[Finding]:
    """Every commit is signed by the vault, and has one parent at most."""
    for commit in repository.log(branch):
        try:
            repository.verify_commit(commit.oid, allowed)
        except VaultError as error:
            yield Finding(Level.INTEGRITY, subject, f"commit {commit.oid[:12]} of {branch}: {error}", RESTORE)
        parents = history.links(repository.raw_commit(commit.oid))[1]
        if len(parents) > 1:
            yield Finding(
                Level.INTEGRITY,
                subject,
                f"commit {commit.oid[:12]} of {branch} is a merge, which the vault never makes",
            )


def _branch_of(repository: BareRepository, name: str, oid: str, subject: str) -> Iterator[Finding]:
    """A ref of the vault's must point into a branch."""
    if not any(commit.oid == oid for branch in BRANCHES for commit in repository.log(branch)):
        yield Finding(
            Level.INTEGRITY,
            subject,
            f"{name} points to a commit that is in no branch",
            "Find out who set it; verify the patient anew.",
        )


def _unreadable(subject: str, error: OSError) -> Finding:
    why = error.strerror or type(error).__name__
    return Finding(Level.INTEGRITY, subject, f"can't be read ({why})", "Look at this computer's disk.")
