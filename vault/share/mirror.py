"""What of a repository's history still has to go to the share: git itself says.

The ref `refs/vault/shared` of a repository is the last commit of `main` whose blobs, and those of all commits before
it, are on the share or wait durably in the outbox; `refs/vault/shared-hourly` says the same of `hourly`. What
`refs/vault/history` and `refs/vault/history-hourly` say is the same of the commits themselves, with their folders:
after a rewrite the blobs are there and the commits are new. They move after what they speak of does, so whatever a
crash interrupts is done anew, and what is done twice has the same name.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator

from vault.archive import smallpack
from vault.archive.bare import BareRepository
from vault.archive.blobs import Blob
from vault.archive.refs import history_ref, shared_ref
from vault.archive.smallpack import GitObject
from vault.errors import IntegrityError
from vault.share import layout
from vault.share.envelope import Recipients, parse_recipients
from vault.share.outbox import Outbox


def seal_commit(
    repository: BareRepository,
    recipients: Iterable[str],
    key: bytes,
    outbox: Outbox,
    branch: str = "main",
) -> str | None:
    """Seal into `outbox` what the share does not have of one of the repository's branches.

    Returns the commit for `mark_shared` once the outbox has been delivered or kept, None when nothing was to do.
    `recipients` are age public keys; `key` makes the names on the share. Raises ConfigError for a recipient that is
    none, IntegrityError for a blob that is not what its id says, OSError when this computer's disk fails.
    """
    tip = repository.tip(branch)
    if tip is None or tip == repository.ref(shared_ref(branch)):
        return None
    parsed = parse_recipients(recipients)
    for oid in unsealed(repository, branch):
        name = layout.blob_name(key, oid)
        if not outbox.has(name):
            with repository.stream(oid) as blob:  # its end is reached only if the content is what the id says
                outbox.seal(name, blob, repository.size(oid), parsed)
    return tip


def seal_history(
    repository: BareRepository,
    recipients: Iterable[str],
    key: bytes,
    outbox: Outbox,
    branch: str = "main",
    *,
    ledger: bool = False,
) -> str | None:
    """Seal into `outbox` the commits of a branch that the share does not have, each with its new folders.

    Each is a git pack under a name that follows from the commit's id; with `ledger` the blobs are in it, too. Returns
    the commit for `mark_history`, None when nothing was to do. Errors as of `seal_commit`.
    """
    tip = repository.tip(branch)
    if tip is None or tip == repository.ref(history_ref(branch)):
        return None
    parsed = parse_recipients(recipients)
    for parent, oid in _commits_after(repository, branch, history_ref(branch)):
        name = layout.commit_name(key, oid, layout.LEDGER if ledger else layout.HISTORY)
        if outbox.has(name):
            continue
        objects = list(repository.structure(oid))
        if ledger:
            new = (blob for _path, _old, blob in repository.changed_paths(parent, oid) if blob)
            objects += [GitObject("blob", repository.read(blob)) for blob in new]
        pack = smallpack.encode(list(dict.fromkeys(objects)))
        outbox.seal(name, io.BytesIO(pack), len(pack), parsed)
    return tip


def mark_history(repository: BareRepository, commit: str, branch: str = "main") -> None:
    """Say durably that all commits of a branch up to `commit` are on the share or kept in the outbox."""
    repository.set_ref(history_ref(branch), commit)


def mark_shared(repository: BareRepository, commit: str, branch: str = "main") -> None:
    """Say durably that all blobs of a branch up to `commit` are on the share or kept in the outbox."""
    repository.set_ref(shared_ref(branch), commit)


def seal_at_hand(blobs: Iterable[Blob], recipients: Recipients, key: bytes, outbox: Outbox) -> None:
    """Seal blobs that were just committed, from where they came: the repository need not inflate them again.

    A head start for `seal_commit`, which does what is missing. Raises IntegrityError when one is no longer what its
    id says, OSError when this computer's disk fails.
    """
    for blob in blobs:
        outbox.seal(layout.blob_name(key, blob.oid), _Checked(blob), blob.size, recipients)


class _Checked:
    """A blob's content, read once; the end is reached only if it is what the id says."""

    def __init__(self, blob: Blob) -> None:
        self._chunks = blob.chunks()
        self._rest = memoryview(b"")
        self._oid = blob.oid
        self._digest = hashlib.sha1(b"blob %d\0" % blob.size, usedforsecurity=False)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end; raises IntegrityError there when the content is wrong."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
            self._digest.update(self._rest)
            if not self._rest and self._digest.hexdigest() != self._oid:
                raise IntegrityError(
                    "A file changed between being committed and being encrypted; nothing of it was kept. "
                    "Make sure that nothing else writes to the vault's folders."
                )
        end = len(self._rest) if size < 0 else size
        piece, self._rest = bytes(self._rest[:end]), self._rest[end:]
        return piece


def unsealed(repository: BareRepository, branch: str = "main") -> Iterator[str]:
    """Yield, once each and oldest first, the blobs that came with a branch's commits after its shared one.

    When that commit is no longer in the history (which was rewritten), every blob of the history is yielded.
    """
    seen: set[str] = set()
    for parent, oid in _commits_after(repository, branch, shared_ref(branch)):
        for _path, _old, new in repository.changed_paths(parent, oid):
            if new is not None and new not in seen:
                seen.add(new)
                yield new


def _commits_after(repository: BareRepository, branch: str, mark: str) -> list[tuple[str | None, str]]:
    """Return parent and id of the commits after the marked one, oldest first; all where it is not in the history."""
    marked = repository.ref(mark)
    commits = []
    for commit in repository.log(branch):
        if commit.oid == marked:
            break
        commits.append((commit.parent, commit.oid))
    return commits[::-1]
