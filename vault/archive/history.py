"""Commits: made as bytes, read as facts, and found by what a person calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import pygit2

from vault.archive.refs import VERIFIED
from vault.archive.signing import Signer
from vault.errors import DAMAGED, IntegrityError, UsageError

EMAIL = "vault@localhost"
"""Nobody's address: commits are made by the vault, and identified by their signature."""

ALLOWED = "`latest`, `verified`, a branch, a commit id, `REVISION~N`, or a day as YYYY-MM-DD"
"""What may name a commit, for messages."""

_FORBIDDEN_IN_NAME = re.compile(r"[<>\x00-\x1f\x7f]")
_STEPS = re.compile(r"~(\d{0,6})$")
_ID = re.compile(r"[0-9a-f]{40}")
_HEX = re.compile(r"[0-9a-fA-F]{4,40}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """What a commit says about itself."""

    oid: str
    parent: str | None
    when: datetime
    """In the time zone that the commit was made in."""
    subject: str
    message: str
    trailers: dict[str, str]


def commit_bytes(
    tree: str, parent: str | None, author: str, when: datetime, message: str, signer: Signer
) -> bytes:
    """Return a signed commit object.

    Raises ValueError when `when` has no time zone: a history must not depend on where it is read.
    """
    offset = when.utcoffset()
    if offset is None:
        raise ValueError("a commit's time needs a time zone")
    minutes = int(offset.total_seconds()) // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    name = _FORBIDDEN_IN_NAME.sub(" ", author).strip() or "vault"
    person = f"{name} <{EMAIL}> {int(when.timestamp())} {zone}"
    head = [
        f"tree {tree}",
        *([f"parent {parent}"] if parent else []),
        f"author {person}",
        f"committer {person}",
    ]
    body = "\n" + message.replace("\0", " ").strip() + "\n"
    payload = ("\n".join(head) + "\n" + body).encode("utf-8", "replace")
    signature = "gpgsig " + signer.sign(payload).rstrip("\n").replace("\n", "\n ")
    return ("\n".join([*head, signature]) + "\n" + body).encode("utf-8", "replace")


def signed_parts(data: bytes) -> tuple[bytes, str]:
    """Return a raw commit's payload and armored signature. Raises IntegrityError when it is not signed."""
    head, separator, body = data.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        inside = line.startswith(b"gpgsig ") or (inside and line.startswith(b" "))
        if inside:
            signature.append(line.removeprefix(b"gpgsig ") if line.startswith(b"gpgsig ") else line[1:])
        else:
            kept.append(line)
    if not signature:
        raise IntegrityError("A commit of the archive is not signed, so it was not made by the vault.")
    return b"\n".join(kept) + separator + body, b"\n".join(signature).decode("ascii", "replace")


def links(data: bytes) -> tuple[str, list[str]]:
    """Return the tree and the parents that a raw commit names. Raises IntegrityError when it is none."""
    lines = data.partition(b"\n\n")[0].split(b"\n")
    named = [line.partition(b" ")[::2] for line in lines]
    tree = [value.decode("ascii", "replace") for key, value in named[:1] if key == b"tree"]
    parents = [value.decode("ascii", "replace") for key, value in named if key == b"parent"]
    if not tree or not all(_ID.fullmatch(oid) for oid in [*tree, *parents]):
        raise IntegrityError(f"A commit of the archive is damaged. {DAMAGED}")
    return tree[0], parents


def info(commit: pygit2.Commit) -> CommitInfo:
    """Return the facts of a commit."""
    zone = timezone(timedelta(minutes=commit.commit_time_offset))
    message: str = commit.message
    return CommitInfo(
        oid=str(commit.id),
        parent=str(commit.parent_ids[0]) if commit.parent_ids else None,
        when=datetime.fromtimestamp(commit.commit_time, zone),
        subject=message.partition("\n")[0],
        message=message,
        trailers=dict(commit.message_trailers),
    )


class Revisions:
    """Finds the commit that a person means. The grammar is fixed: none of git's own expressions is evaluated."""

    def __init__(
        self,
        repository: pygit2.Repository,
        ref: Callable[[str], str | None],
        log: Callable[[str], Iterator[CommitInfo]],
    ) -> None:
        self._repository = repository
        self._ref = ref
        self._log = log

    def resolve(self, revision: str) -> str:
        """Return the commit's full id. Raises UsageError that names what is allowed."""
        steps = 0
        name = revision.strip()
        while found := _STEPS.search(name):
            steps += int(found[1] or "1")
            name = name[: found.start()]
        oid = self._named(name) or self._of_day(name) or self._abbreviated(name)
        if oid is None:
            raise UsageError(f"There is no commit {revision!r}; allowed are {ALLOWED}. See `vault log`.")
        return self._back(oid, steps, revision)

    def _named(self, name: str) -> str | None:
        if name == "verified":
            verified = self._ref(VERIFIED)
            if verified is None:
                raise UsageError(
                    "Nothing of this patient has been verified yet; `latest` is what was retrieved last."
                )
            return verified
        branch = "main" if name in ("latest", "HEAD") else name
        return (
            self._ref(f"refs/heads/{branch}") if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]*", branch) else None
        )

    def _of_day(self, name: str) -> str | None:
        if not _DAY.fullmatch(name):
            return None
        try:
            day = date.fromisoformat(name)
        except ValueError:
            return None
        for commit in self._log("main"):
            if commit.when.date() <= day:
                return commit.oid
        raise UsageError(f"There is no commit on or before {name}; `vault log` shows the first one.")

    def _abbreviated(self, name: str) -> str | None:
        if not _HEX.fullmatch(name):
            return None
        try:
            found = self._repository.get(name.lower())
        except ValueError as error:
            raise UsageError(f"More than one object's id begins with {name!r}; give more digits.") from error
        return str(found.id) if isinstance(found, pygit2.Commit) else None

    def _back(self, oid: str, steps: int, revision: str) -> str:
        for _ in range(steps):
            parents = read_commit(self._repository, oid).parent_ids
            if not parents:
                raise UsageError(
                    f"{revision!r} is before the first commit; `vault log` shows how many there are."
                )
            oid = str(parents[0])
        return oid


def depth(repository: pygit2.Repository, oid: str) -> int:
    """Return how many commits there are up to and with `oid`. Raises IntegrityError when one is missing."""
    try:
        return sum(1 for _ in repository.walk(oid))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise IntegrityError(f"A commit of the archive is missing or damaged. {DAMAGED}") from error


def read_commit(repository: pygit2.Repository, oid: str) -> pygit2.Commit:
    """Return a commit that the repository itself names. Raises IntegrityError when it is missing or damaged."""
    try:
        found = repository.get(oid)
    except pygit2.GitError as error:
        raise IntegrityError(f"A commit of the archive is damaged. {DAMAGED}") from error
    if not isinstance(found, pygit2.Commit):
        raise IntegrityError(f"The commit {oid} is missing in a repository. {DAMAGED}")
    return found
