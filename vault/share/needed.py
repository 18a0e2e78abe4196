"""Which files of the share are still of use: what live repositories need, and which manifest is the newest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vault.archive.bare import BareRepository
from vault.archive.ledger import Ledger
from vault.archive.refs import BRANCHES
from vault.share import layout


def needed_names(repositories: Iterable[BareRepository], key: bytes) -> Iterator[str]:
    """Yield the names on the share of every commit and blob of these repositories (patients', and the overview).

    A name may come more than once: a blob of several commits, or of several patients. The ledger's are
    `ledger_names`. Raises IntegrityError for a repository that
    can't be read, so that whoever removes what is not needed removes nothing then.
    """
    for repository in repositories:
        for branch in BRANCHES:
            for commit in repository.log(branch):
                yield layout.commit_name(key, commit.oid)
                for _path, _old, new in repository.changed_paths(commit.parent, commit.oid):
                    if new is not None:
                        yield layout.blob_name(key, new)


def ledger_names(ledger: Ledger, key: bytes) -> Iterator[str]:
    """Yield the names on the share of every commit of the ledger."""
    if ledger.repository:
        for commit in ledger.repository.log():
            yield layout.commit_name(key, commit.oid, layout.LEDGER)


def manifests(names: Iterable[str]) -> list[str]:
    """Return those of `names` that are manifests, the newest first; whatever else lies there is left out."""
    found = []
    for name in names:
        try:
            found.append((layout.generation(name), name))
        except ValueError:
            continue
    return [name for _generation, name in sorted(found, reverse=True)]
