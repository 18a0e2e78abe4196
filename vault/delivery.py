"""The last steps of every procedure that commits: seal what git says is missing on the share, deliver, keep.

1. Offline: every blob and every commit that is not shared yet is encrypted into the outbox, and at last the manifest,
   which says what there is.
2. With the network open: mail that waits goes out, since people wait for it; then what waits goes to the share.
3. Offline: what could not go is made durable, and only then do the refs say that it needs no sealing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pluggy

from vault.archive.bare import BareRepository
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.refs import BRANCHES
from vault.archive.repository import FOLDER, PatientRepository, all_repositories
from vault.archive.signing import Signer
from vault.config import Config
from vault.errors import IntegrityError, VaultError
from vault.events import network
from vault.inventory import entry_of, last_manifest, make_manifest, remember_manifest, site_files
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.mail import handover
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.recipients import pinned
from vault.retention import standing
from vault.share import layout, manifest
from vault.share.backend import share_of
from vault.share.envelope import parse_recipients
from vault.share.manifest import Entry, Manifest
from vault.share.mirror import mark_history, mark_shared, seal_commit, seal_history
from vault.share.outbox import Outbox
from vault.sync_report import Delivery

Mark = Callable[[], None]
"""Says of one branch that everything of it up to a commit waits for the share."""


def open_outbox(root: Path) -> Outbox:
    """Return the vault's outbox."""
    return Outbox(root / "outbox")


def to_share(
    config: Config,
    *,
    others: Sequence[BareRepository] = (),
    events: pluggy.PluginManager | None = None,
    progress: Progress | None = None,
) -> Delivery:
    """Bring the share up to date with every patient's repository, and with `others`, and hand over the mail that waits.

    Failures are in the result. Raises ConfigError when the pseudonym key can't be read. What `[share]` or `[mail]`
    leaves out is not done.
    """
    progress = progress or Silent()
    result, outbox = Delivery(), open_outbox(config.vault.root)
    if config.share is None:
        _deliver(config, outbox, result, events, progress)
        progress.stop()
        return result
    marks = _seal(config, outbox, others, result, progress)
    _deliver(config, outbox, result, events, progress)
    _keep(outbox, marks, result)
    progress.stop()
    return result


def _seal(
    config: Config, outbox: Outbox, others: Sequence[BareRepository], result: Delivery, progress: Progress
) -> list[Mark]:
    key = read_pseudonym_key(config.vault.pseudonym_key)
    try:
        pinned(config)
    except VaultError as error:
        result.failed.append(Failure("recipients", str(error)))
        result.integrity |= isinstance(error, IntegrityError)
        return []
    damaged: list[Failure] = []
    ledger = Ledger(config.vault.root).repository
    overview = Overview.open(config.vault.root)
    repositories: list[BareRepository] = [*all_repositories(config.vault.root, damaged), *others]
    repositories += [overview] if overview and all(one.path != overview.path for one in others) else []
    repositories += [ledger] if ledger else []
    result.failed.extend(damaged)
    result.integrity |= bool(damaged)
    before = last_manifest(outbox.folder)
    entries = [entry for failure in damaged if (entry := _as_before(before, f"{FOLDER}/{failure.subject}"))]
    marks: list[Mark] = []
    progress.start("Encrypting", len(repositories))
    for repository in repositories:
        try:
            marks += _seal_repository(config, outbox, key, repository, ledger=repository is ledger)
            entries.append(entry_of(repository))
        except VaultError as error:
            result.failed.append(Failure("encryption", str(error)))
            result.integrity |= isinstance(error, IntegrityError)
            place = FOLDER if isinstance(repository, PatientRepository) else ""
            if entry := _as_before(before, f"{place}/{repository.path.name}".lstrip("/")):
                entries.append(entry)
        except OSError as error:  # no room: what is sealed already is delivered, and the rest follows
            result.failed.append(Failure("encryption", error.strerror or type(error).__name__))
            return marks
        progress.advance()
    try:
        entries += _lost(config, before, entries, result)
        marks += _seal_manifest(config, outbox, entries, before)
    except VaultError as error:
        result.failed.append(Failure("manifest", str(error)))
        result.integrity |= isinstance(error, IntegrityError)
    except OSError as error:
        result.failed.append(Failure("manifest", error.strerror or type(error).__name__))
    return marks


def _as_before(before: Manifest | None, path: str) -> Entry | None:
    """What the last manifest said of a repository that can't be read now: the share still has that of it."""
    return before.entry(path) if before else None


def _lost(config: Config, before: Manifest | None, entries: Iterable[Entry], result: Delivery) -> list[Entry]:
    """What the last manifest said of patients whose repositories are gone, though no pruning let them go.

    The share still has all of it, and without these lines nobody would find it there.
    """
    listed = {entry.path for entry in entries}
    missing = [entry for entry in before.entries if entry.path not in listed] if before else []
    if not missing or before is None:
        return []
    let_go = standing.let_go_since(Ledger(config.vault.root), before.generation)
    pseudonyms = Pseudonyms.load(config.vault.pseudonym_key)
    lost = [entry for entry in missing if entry.patient_id and pseudonyms.of(entry.patient_id) not in let_go]
    if lost:
        result.integrity = True
        result.failed.append(
            Failure(
                "share",
                f"{len(lost)} repositories that the share has are not here any more, and no pruning says so: `vault "
                "audit` names them, `vault repair PATIENT --from-share` brings a patient's back",
            )
        )
    return lost


def _seal_repository(
    config: Config, outbox: Outbox, key: bytes, repository: BareRepository, *, ledger: bool
) -> Iterator[Mark]:
    recipients = config.vault.recipients
    for branch in BRANCHES:
        if not ledger and (commit := seal_commit(repository, recipients, key, outbox, branch)):
            yield partial(mark_shared, repository, commit, branch)
        if commit := seal_history(repository, recipients, key, outbox, branch, ledger=ledger):
            yield partial(mark_history, repository, commit, branch)


def _seal_manifest(
    config: Config, outbox: Outbox, entries: Iterable[Entry], before: Manifest | None
) -> Iterator[Mark]:
    """Seal the manifest and the files that it names, unless the last one said the same."""
    files = site_files(config)
    made = make_manifest(config, entries, files)
    text = manifest.encode(made)
    if before and manifest.encode(before) == text:
        return
    parsed = parse_recipients(config.vault.recipients)
    held = before.files.values() if before else ()
    for blob in files.values():
        if blob.oid not in held:
            outbox.seal(layout.blob_name(made.key, blob.oid), io.BytesIO(blob.data), blob.size, parsed)
    signed = manifest.sign(text, Signer.load(config.vault.signing_key))
    outbox.withdraw(layout.MANIFESTS)
    name = layout.manifest_name(made.key, made.generation, text)
    outbox.seal(name, io.BytesIO(signed), len(signed), parsed)
    yield partial(remember_manifest, outbox.folder, signed)


def _deliver(
    config: Config,
    outbox: Outbox,
    result: Delivery,
    events: pluggy.PluginManager | None,
    progress: Progress,
) -> None:
    share = config.share if config.share is not None and outbox.pending() else None
    if share is None and not handover.waits(config):
        return
    try:
        with network(events, config):
            _mail(config, result, progress)
            if share is not None:
                delivered = outbox.deliver(share_of(share), progress)
                result.sent, result.already = delivered.sent, delivered.already
                result.failed.extend(delivered.failed)
    except VaultError as error:
        result.failed.append(Failure("share" if share else "mail", str(error)))
    except OSError as error:
        why = error.strerror or type(error).__name__
        result.failed.append(Failure("outbox", f"this computer's disk refused ({why}): look at it"))


def _mail(config: Config, result: Delivery, progress: Progress) -> None:
    mailed = handover.deliver(config, progress)
    result.mailed, result.mail_waiting, result.mail_refused = mailed.sent, mailed.waiting, mailed.refused
    result.failed.extend(mailed.failed)


def _keep(outbox: Outbox, marks: Iterable[Mark], result: Delivery) -> None:
    try:
        outbox.keep()
        for mark in marks:
            _set(mark, result)
    except OSError as error:
        why = error.strerror or type(error).__name__
        result.failed.append(Failure("outbox", f"{why}: what waits is encrypted again by the next run"))
    result.waiting = len(outbox.pending())


def _set(mark: Mark, result: Delivery) -> None:
    """One that can't be marked is sealed again; the others are none the worse."""
    try:
        mark()
    except VaultError as error:
        result.failed.append(Failure("outbox", str(error)))
        result.integrity |= isinstance(error, IntegrityError)
