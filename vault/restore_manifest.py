"""Which state to restore: the newest manifest on the share that can be opened, read and believed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from vault.archive import signing
from vault.errors import ConfigError, IntegrityError, ShareError, UsageError, VaultError
from vault.files import private_folder, write_file
from vault.model import Failure
from vault.share import layout, manifest
from vault.share.backend import ShareUnavailableError
from vault.share.envelope import OtherIdentityError
from vault.share.fetch import Fetcher
from vault.share.manifest import Manifest
from vault.share.needed import manifests

_SIGNERS = "keys/allowed_signers"

LARGEST_SIGNERS = 1 << 20
"""Bytes of the largest allowed-signers file that is read."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose manifests count, from the safe. With neither, it is whoever signed every manifest of the share."""

    signers: Path | None = None
    """An allowed-signers file."""
    fingerprint: str | None = None
    """The key that signed, as `ssh-keygen -l` prints it."""

    def check(self, key: bytes) -> None:
        """Raise IntegrityError where another key was named than the one (32 bytes) that signed a manifest."""
        if self.fingerprint is not None and _bare(self.fingerprint) != _bare(signing.fingerprint(key)):
            raise IntegrityError(
                f"it is signed by {signing.fingerprint(key)}, which is not the key that you named"
            )


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest, and whose signatures count."""

    name: str
    manifest: Manifest
    signed: bytes = field(repr=False)
    """As it lies on the share, opened."""
    signers: bytes
    """The allowed-signers file."""
    allowed: frozenset[bytes]
    key: bytes
    """The key that signed it, 32 bytes."""
    damaged: bool = False
    """A newer one is on the share and can't be used."""

    @property
    def fingerprints(self) -> list[str]:
        """The keys as `ssh-keygen -l` prints them."""
        return sorted(signing.fingerprint(key) for key in self.allowed)


NOTHING_NAMED = Trust()
"""Whoever signed all of the share."""


def find(fetcher: Fetcher, workspace: Path, trust: Trust, failed: list[Failure]) -> Found:
    """Return the newest manifest that can be used; newer ones that can't are noted in `failed`.

    Raises ShareError when the share has none or is away, UsageError when none is for these identities, IntegrityError
    when no manifest can be used, or when nothing says which of two signers is the vault.
    """
    if trust.signers is not None:
        _own(trust.signers)  # or a slip of the hand would be told as damage of every manifest
    names = manifests(fetcher.share.list(layout.MANIFESTS))
    if not names:
        raise ShareError(
            f"the share {fetcher.share.place} holds no manifest, so nobody can say what it should hold: is it the "
            f"right folder (the one that has {layout.ROOT}/)?"
        )
    first, closed = "", True
    for name in names:
        try:
            found = _open(fetcher, name, workspace, trust)
        except ShareUnavailableError:
            raise
        except VaultError as error:
            first = first or str(error)
            closed = closed and isinstance(error, OtherIdentityError)
            failed.append(Failure(name, f"can't be used, so an older state is restored: {error}"))
            continue
        if trust == NOTHING_NAMED:
            _check_one_signer(fetcher, names[names.index(name) + 1 :], workspace, found)
        return found if not first else replace(found, damaged=True)
    if closed:
        raise UsageError(
            f"the {len(names)} manifests on the share {fetcher.share.place} are not encrypted to this identity: name "
            "another one from the safe"
        )
    raise IntegrityError(
        f"none of the {len(names)} manifests on the share {fetcher.share.place} can be used; the newest: {first}. "
        "Try another identity from the safe, then another copy of the share"
    )


def find_patient(fetcher: Fetcher, workspace: Path, trust: Trust, patient_id: str, newest: Found) -> Found:
    """Return the newest older manifest that lists a patient; raises VaultError when none does."""
    for name in manifests(fetcher.share.list(layout.MANIFESTS)):
        if name >= newest.name:
            continue
        try:
            found = _open(fetcher, name, workspace, trust)
        except ShareUnavailableError:
            raise
        except VaultError:
            continue
        if any(entry.patient_id == patient_id for entry in found.manifest.entries):
            return found
    raise VaultError("No manifest on the share lists this patient; check the ID, as the ROIS spells it.")


def _check_one_signer(fetcher: Fetcher, older: list[str], workspace: Path, found: Found) -> None:
    """Raise IntegrityError where an older manifest that is whole does not know the signer of the one found.

    Whoever may write to the share can put a newer manifest there that is whole in itself, of repositories of his own
    or of none: encrypting takes public keys only, and the keys whose signatures count would be the ones that it names.
    """
    for name in older:
        try:
            other = _open(fetcher, name, workspace, NOTHING_NAMED)
        except ShareUnavailableError:
            raise
        except VaultError:
            continue
        if found.key not in other.allowed:
            raise IntegrityError(
                f"the manifests on the share {fetcher.share.place} are signed by two keys that do not know each other, "
                f"and one may be an attacker's: {found.name} by {signing.fingerprint(found.key)}, {name} by "
                f"{signing.fingerprint(other.key)}. Look into the safe which is yours, and name it with --fingerprint, "
                "or the safe's allowed-signers file with --signers"
            )


def _bare(fingerprint: str) -> str:
    return "".join(fingerprint.split()).removeprefix("SHA256:").rstrip("=")


def _open(fetcher: Fetcher, name: str, workspace: Path, trust: Trust) -> Found:
    signed = fetcher.read(name, manifest.LARGEST)
    if trust.signers is not None:
        listed, allowed = _own(trust.signers), signing.allowed_keys(trust.signers)
        key = manifest.verify(signed, allowed)  # before a word of it is read
    found = manifest.parse(signed)
    if layout.generation(name) != found.generation:
        raise IntegrityError("it lies under the name of another generation")
    if trust.signers is None:
        listed = _listed(fetcher, found)
        path = private_folder(workspace) / "allowed_signers"
        write_file(path, listed, replace=True)
        allowed = signing.allowed_keys(path)
        key = manifest.verify(signed, allowed)
    trust.check(key)
    return Found(name, found, signed, listed, allowed, key)


def _own(signers: Path) -> bytes:
    try:
        return signers.read_bytes()
    except OSError as error:
        raise ConfigError(f"--signers: {signers} can't be read: {error.strerror}.") from None


def _listed(fetcher: Fetcher, found: Manifest) -> bytes:
    if _SIGNERS not in found.files:
        raise IntegrityError(
            "it does not say whose signatures count: give an allowed-signers file with --signers"
        )
    return fetcher.small(found.key, found.files[_SIGNERS], LARGEST_SIGNERS)
