"""What of a patient's history still has to go to the share: git itself says.

The ref `refs/vault/shared` of a repository is the last commit whose blobs, and those of all commits before it, were
all sealed into the outbox. It moves after the outbox is durable, so whatever a crash interrupts is done anew, and
what is done twice has the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vault.archive.repository import PatientRepository
from vault.share import layout
from vault.share.envelope import parse_recipients
from vault.share.outbox import Outbox

SHARED = "refs/vault/shared"
"""Marks the commit up to which every blob is sealed."""


def seal_commit(repository: PatientRepository, recipients: Iterable[str], key: bytes, outbox: Outbox) -> int:
    """Bring `outbox` up to date with the repository's `main`; returns how many blobs were sealed.

    `recipients` are age public keys; `key` makes the names on the share. Raises ConfigError for a recipient that is
    none, IntegrityError for a blob that is not what its id says, OSError when this computer's disk fails.
    """
    tip = repository.tip()
    if tip is None or tip == repository.ref(SHARED):
        return 0
    parsed = parse_recipients(recipients)
    sealed = 0
    for oid in unsealed(repository):
        name = layout.blob_name(key, oid)
        with repository.stream(oid) as blob:  # its end is reached only if the content is what the id says
            sealed += outbox.seal(name, blob, repository.size(oid), parsed)
    repository.set_ref(SHARED, tip)
    return sealed


def unsealed(repository: PatientRepository) -> Iterator[str]:
    """Yield, once each and oldest first, the blobs that came with commits after `refs/vault/shared`.

    When that commit is no longer in the history (which was rewritten), every blob of the history is yielded.
    """
    shared = repository.ref(SHARED)
    commits = []
    for commit in repository.log("main"):
        if commit.oid == shared:
            break
        commits.append((commit.parent, commit.oid))
    seen: set[str] = set()
    for parent, oid in reversed(commits):
        for _path, _old, new in repository.changed_paths(parent, oid):
            if new is not None and new not in seen:
                seen.add(new)
                yield new
