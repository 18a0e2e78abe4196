"""The audit, readable from top to bottom.

1. The vault's folder: keys, permissions.
2. The ledger: every commit signed, nothing replaced, every event readable, and extending what a mail witnessed.
3. Every repository in its structure, and whether it is as the ledger says.
4. Whole reads: a seventh of the repositories each night, so that a week reads the whole vault; all of them with `full`.
   A time budget ends this step, and what was not read is said.
5. The share: nothing missing, lengths right (a seventh each night), contents where an identity can open them and `full`
   asks for it.

It changes nothing, needs no lock, and goes on after every finding. A run that is at work meanwhile may leave the ledger
behind a repository for a moment: its inbox says so, and what it explains is no more than a warning.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pluggy

from vault.archive.bare import BareRepository
from vault.archive.ledger import Ledger
from vault.archive.overview import NAME as OVERVIEW
from vault.archive.overview import Overview
from vault.archive.repository import FOLDER, all_repositories
from vault.archive.signing import allowed_keys
from vault.audit import ledger as ledger_checks
from vault.audit import place, repository, share
from vault.audit.findings import AuditReport, Finding, Level
from vault.config import Config
from vault.delivery import open_outbox
from vault.errors import ConfigError, IntegrityError, VaultError
from vault.events import network
from vault.inventory import last_manifest, newest_name, site_files
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.retention.facts import OVERVIEW as SUMMARY
from vault.retention.lists import lists, names_in
from vault.share import layout
from vault.share.backend import Share, share_of
from vault.share.envelope import Identities, parse_identities

DAYS = 7
"""Nights in which everything is read once."""

BUDGET = 600.0
"""Seconds that whole reads may take in an ordinary audit."""


def audit(
    config: Config,
    *,
    now: datetime,
    full: bool = False,
    witness: str | None = None,
    budget: float = BUDGET,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AuditReport:
    """Look at everything, and read what is due. `budget` is in seconds, and counts where `full` is false.

    Raises ConfigError where the pseudonym key can't be read: nothing could be compared with anything then.
    """
    deadline = None if full else clock() + budget
    return _Audit(
        config, now, full, progress or Silent(), events, lambda: deadline is None or clock() < deadline
    ).run(witness)


class _Audit:
    def __init__(
        self,
        config: Config,
        now: datetime,
        full: bool,
        progress: Progress,
        events: pluggy.PluginManager | None,
        in_time: Callable[[], bool],
    ) -> None:
        self._config = config
        self._root = config.vault.root
        self._night = now.toordinal() % DAYS
        self._full = full
        self._progress = progress
        self._events = events
        self._in_time = in_time
        self._report = AuditReport()
        self._found = self._report.findings
        self._key = read_pseudonym_key(config.vault.pseudonym_key)
        self._pseudonyms = Pseudonyms(self._key)
        self._ledger = Ledger(self._root)

    def run(self, witness: str | None) -> AuditReport:
        self._found.extend(place.keys(self._config))
        self._found.extend(place.permissions(self._root))
        allowed = self._allowed()
        repositories = self._repositories()
        self._check_ledger(allowed, witness)
        self._progress.start("Checking histories", len(repositories))
        for name, each in repositories.items():
            self._found.extend(repository.structure(each, name, allowed))
            self._report.repositories += 1
            self._progress.advance()
        self._compare(repositories)
        self._read(repositories)
        self._check_share(list(repositories.values()), allowed)
        self._progress.stop()
        return self._report

    def _allowed(self) -> frozenset[bytes]:
        try:
            return allowed_keys(self._config.vault.signing_key.parent / "allowed_signers")
        except ConfigError:  # said with the keys; nobody's signature counts then
            return frozenset()

    def _repositories(self) -> dict[str, BareRepository]:
        """Every repository by its path below the vault's folder; those that can't be opened are findings."""
        damaged: list[Failure] = []
        found: dict[str, BareRepository] = {
            f"{FOLDER}/{each.path.name}": each for each in all_repositories(self._root, damaged)
        }
        for failure in damaged:
            subject = f"{FOLDER}/{failure.subject}"
            self._found.append(Finding(Level.INTEGRITY, subject, failure.reason, repository.RESTORE))
        if overview := Overview.open(self._root):
            found[OVERVIEW] = overview
        return found

    # 2, 3

    def _check_ledger(self, allowed: frozenset[bytes], witness: str | None) -> None:
        ledger = self._ledger.repository
        if ledger is not None:
            self._found.extend(repository.structure(ledger, ledger_checks.SUBJECT, allowed))
            self._found.extend(repository.contents(ledger, ledger_checks.SUBJECT))
            self._found.extend(ledger_checks.append_only(self._ledger))
            with suppress(VaultError):  # found already
                self._report.head = self._ledger.head()
        elif any((self._root / FOLDER).glob("[!.]*.git")):
            self._found.append(
                Finding(Level.INTEGRITY, ledger_checks.SUBJECT, "there is no ledger", repository.RESTORE)
            )
        if witness:
            self._found.extend(ledger_checks.witnessed(self._ledger, witness))

    def _compare(self, repositories: dict[str, BareRepository]) -> None:
        recorded = ledger_checks.read(self._ledger, self._found)
        self._report.events = recorded.events
        by_pseudonym, subjects = {}, {}
        for name, each in repositories.items():
            patient_id = getattr(each, "patient_id", None)
            if patient_id is not None:
                pseudonym = self._pseudonyms.of(patient_id)
                by_pseudonym[pseudonym], subjects[pseudonym] = each, name
        known = recorded.tips.keys() & by_pseudonym.keys()
        if by_pseudonym and recorded.tips and not known:
            self._found.append(
                Finding(
                    Level.INTEGRITY,
                    "keys",
                    "the ledger knows none of these patients: the pseudonym key is another one",
                    "Bring the pseudonym key back from its safe.",
                )
            )
            return
        if OVERVIEW in repositories:
            by_pseudonym[SUMMARY], subjects[SUMMARY] = (
                repositories[OVERVIEW],
                OVERVIEW,
            )
        unfinished = any(any((self._root / name).glob("[!.]*")) for name in ("inbox", "hourly"))
        self._found.extend(ledger_checks.compare(recorded, by_pseudonym, subjects, unfinished))

    # 4

    def _due(self, name: str) -> bool:
        return self._full or zlib.crc32(name.encode()) % DAYS == self._night

    def _read(self, repositories: dict[str, BareRepository]) -> None:
        due = {name: each for name, each in repositories.items() if self._due(name)}
        self._report.due = len(due)
        self._progress.start("Reading everything", len(due))
        for name, each in due.items():
            if not self._in_time():
                break
            self._found.extend(repository.contents(each, name))
            self._report.read += 1
            self._progress.advance()

    # 5

    def _check_share(self, repositories: list[BareRepository], allowed: frozenset[bytes]) -> None:
        if self._config.share is None:
            return
        try:
            wanted = list(share.expected(repositories, self._ledger, self._key))
            identities = self._identities()
            with network(self._events, self._config):
                self._look_at_share(share_of(self._config.share), wanted, identities, allowed)
        except IntegrityError as error:
            self._found.append(Finding(Level.INTEGRITY, share.SUBJECT, f"not looked at: {error}"))
        except VaultError as error:
            self._found.append(Finding(Level.WARNING, share.SUBJECT, f"not looked at: {error}"))
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._found.append(Finding(Level.WARNING, share.SUBJECT, f"this computer's disk refused ({why})"))

    def _look_at_share(
        self,
        place_: Share,
        wanted: list[share.Expected],
        identities: Identities | None,
        allowed: frozenset[bytes],
    ) -> None:
        outbox = open_outbox(self._root)
        there, self._report.superfluous = share.presence(
            place_,
            wanted,
            set(outbox.pending()),
            set(self._ignored()),
            newest_name(outbox.folder),
            self._found,
        )
        self._report.on_share = len(wanted)
        due = [each for each in there if self._due(each.name)]
        self._progress.start("Checking the share", len(due))
        self._found.extend(share.lengths(place_, due, self._in_time))
        work = self._root / "work"
        if self._full and identities:
            self._found.extend(share.newest_manifest(place_, identities, allowed))
            self._found.extend(share.site_files(place_, self._of_manifest(), identities, self._key, work))
            broken = {
                finding.text.partition(":")[0] for finding in self._found if finding.subject == share.SUBJECT
            }
            whole = [each for each in there if each.name not in broken]
            self._found.extend(share.contents(place_, whole, identities, self._key, work, self._opened))

    def _opened(self) -> None:
        self._report.opened += 1
        self._progress.advance()

    def _ignored(self) -> Iterator[str]:
        """What may be there although no history needs it: files of the site, and what is still to be removed."""
        yield from (layout.blob_name(self._key, blob.oid) for blob in site_files(self._config).values())
        yield from (layout.blob_name(self._key, oid) for oid in self._of_manifest())
        yield from names_in(lists(self._root))

    def _of_manifest(self) -> list[str]:
        """Ids of the site's files that the newest manifest names: a restore needs them."""
        last = last_manifest(self._root / "outbox")
        return sorted(set(last.files.values())) if last else []

    def _identities(self) -> Identities | None:
        path: Path | None = self._config.vault.identity
        if path is None or not path.is_file():
            return None
        try:
            return parse_identities(path.read_text("utf-8", "replace"))
        except ConfigError:  # said with the keys
            return None
