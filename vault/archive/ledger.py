"""The ledger: one signed, append-only repository that says what the vault did, without saying to whom.

It outlives the patients' repositories, so no event holds a name or a patient ID, only keyed pseudonyms. A mailbox
that was sent the head is a witness: a later ledger must extend it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785

from vault.archive import layout
from vault.archive.bare import BareRepository
from vault.archive.blobs import Bytes
from vault.archive.signing import Signer
from vault.errors import DAMAGED, IntegrityError, VaultError

KINDS = ("runs", "hourly", "verdicts", "alarms", "prunes", "holds", "emergencies", "repairs")
"""Folders of the ledger, one per kind of event."""

ATTEMPTS = 5
"""How often an event is tried to be recorded while others record theirs: a person may declare an emergency at night."""

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}", re.ASCII)


class Ledger:
    """The ledger of one vault. Reading needs no signer."""

    def __init__(
        self, root: Path, signer: Signer | None = None, *, allowed_signers: Path | None = None
    ) -> None:
        self.path = root / "ledger.git"
        self._signer = signer
        self._allowed_signers = allowed_signers
        self._repository = BareRepository(self.path) if self.path.is_dir() else None

    def append(
        self,
        kind: str,
        name: str,
        event: Mapping[str, Any],
        *,
        when: datetime | None = None,
        author: str = "vault",
    ) -> str:
        """Record an event as `<kind>/<name>.json`, canonical JSON (RFC 8785), and return the ledger's new head.

        Recording the same event again changes nothing. Names sort by time: begin them with it. Raises IntegrityError
        when another event has the name, VaultError when it can't be written, ValueError for a kind or a name that
        can't be.
        """
        if kind not in KINDS or not _NAME.fullmatch(name):
            raise ValueError(f"no such kind of event, or not a name: {kind}/{name}")
        for _ in range(ATTEMPTS - 1):
            head = self.head()
            try:
                return self._append(kind, name, event, when or datetime.now(UTC), author)
            except IntegrityError:
                raise
            except VaultError:
                if self.head() == head:
                    raise
        return self._append(kind, name, event, when or datetime.now(UTC), author)

    def _append(self, kind: str, name: str, event: Mapping[str, Any], when: datetime, author: str) -> str:
        if self._signer is None:
            raise VaultError("The ledger was opened for reading: writing it needs the signing key.")
        repository = self._writable()
        blob = Bytes(rfc8785.dumps(dict(event)) + b"\n")
        path = f"{kind}/{name}.json"
        head = repository.tip()
        recorded = repository.tree(head).get(path)
        if recorded not in (None, blob.oid):
            raise IntegrityError(f"The ledger holds another event {path}; events are never replaced.")
        return repository.commit_edits(
            parent=head,
            edits={path: blob},
            message=f"{kind}: {name}",
            when=when,
            signer=self._signer,
            author=author,
        )

    def head(self) -> str | None:
        """Return the last commit's id, or None when nothing has been recorded."""
        return self._repository.tip() if self._repository else None

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return one event, or None when there is none of that name."""
        oid = self._tree().get(f"{kind}/{name}.json")
        return self._event(oid) if oid else None

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind's events, newest first; reads none of them."""
        start, end = f"{kind}/", ".json"
        found = (path for path in self._tree() if path.startswith(start) and path.endswith(end))
        return sorted((path.removeprefix(start).removesuffix(end) for path in found), reverse=True)

    def recorded(self, kind: str, name: str) -> str | None:
        """Return the commit that recorded an event, or None when there is none of that name."""
        if self._repository is None:
            return None
        subject = f"{kind}: {name}"
        return next((commit.oid for commit in self._repository.log() if commit.subject == subject), None)

    def record_run(self, kind: str, event: dict[str, Any], *, when: datetime) -> None:
        """Write what a run did, once: one that is finished later than it began may be there already.

        Where it is and did something else by then, the event is written beside it, as `RUN.2`.
        """
        name, number = str(event["run"]), 1
        while (recorded := self.get(kind, name)) is not None:
            if recorded["patients"] == event["patients"]:
                return
            number += 1
            name = f"{event['run']}.{number}"
        self.append(kind, name, event, when=when)

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a kind, newest first (by name: `RUN.2` is newer than `RUN`)."""
        tree = self._tree()
        for name in self.names(kind):
            yield self._event(tree[f"{kind}/{name}.json"])

    @property
    def repository(self) -> BareRepository | None:
        """The repository itself, for reading; None before the first event."""
        return self._repository

    def _tree(self) -> dict[str, str]:
        return self._repository.tree(self.head()) if self._repository else {}

    def _event(self, oid: str) -> dict[str, Any]:
        if self._repository is None:
            raise VaultError("The ledger has no events yet.")
        try:
            event: dict[str, Any] = json.loads(self._repository.read(oid))
        except ValueError as error:
            raise IntegrityError(f"An event of the ledger is not JSON. {DAMAGED}") from error
        return event

    def _writable(self) -> BareRepository:
        if self._repository is None:
            settings = {"gpg.format": "ssh"}
            if self._allowed_signers:
                settings["gpg.ssh.allowedSignersFile"] = str(self._allowed_signers.absolute())
            if not self.path.is_dir():
                layout.create(self.path, settings)
            self._repository = BareRepository(self.path)
        return self._repository
