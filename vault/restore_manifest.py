"""Which state to restore: the newest manifest on the share that can be opened, read and believed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from vault.archive import signing
from vault.errors import IntegrityError, ShareError, VaultError
from vault.files import private_folder, write_file
from vault.model import Failure
from vault.share import layout, manifest
from vault.share.backend import ShareUnavailableError
from vault.share.fetch import Fetcher
from vault.share.manifest import Manifest
from vault.share.needed import manifests

_SIGNERS = "keys/allowed_signers"


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
    damaged: bool = False
    """A newer one is on the share and can't be used."""

    @property
    def fingerprints(self) -> list[str]:
        """The keys as `ssh-keygen -l` prints them."""
        return sorted(_fingerprint(key) for key in self.allowed)


def find(fetcher: Fetcher, workspace: Path, signers: Path | None, failed: list[Failure]) -> Found:
    """Return the newest manifest that can be used; newer ones that can't are noted in `failed`.

    Raises ShareError when the share has none or is away, IntegrityError when no manifest can be used.
    """
    names = manifests(fetcher.share.list(layout.MANIFESTS))
    if not names:
        raise ShareError(
            f"the share {fetcher.share.place} holds no manifest, so nobody can say what it should hold: is it the "
            f"right folder (the one that has {layout.ROOT}/)?"
        )
    first = ""
    for name in names:
        try:
            found = _open(fetcher, name, workspace, signers)
        except ShareUnavailableError:
            raise
        except VaultError as error:
            first = first or str(error)
            failed.append(Failure(name, f"can't be used, so an older state is restored: {error}"))
            continue
        return found if not first else _after_damage(found)
    raise IntegrityError(
        f"none of the {len(names)} manifests on the share {fetcher.share.place} can be used; the newest: {first}. "
        "Try another identity from the safe, then another copy of the share"
    )


def find_patient(
    fetcher: Fetcher, workspace: Path, signers: Path | None, patient_id: str, newest: Found
) -> Found:
    """Return the newest older manifest that lists a patient; raises VaultError when none does."""
    for name in manifests(fetcher.share.list(layout.MANIFESTS)):
        if name >= newest.name:
            continue
        try:
            found = _open(fetcher, name, workspace, signers)
        except ShareUnavailableError:
            raise
        except VaultError:
            continue
        if any(entry.patient_id == patient_id for entry in found.manifest.entries):
            return found
    raise VaultError("No manifest on the share lists this patient; check the ID, as the ROIS spells it.")


def _open(fetcher: Fetcher, name: str, workspace: Path, signers: Path | None) -> Found:
    signed = fetcher.read(name, manifest.LARGEST)
    if signers is not None:
        listed, allowed = signers.read_bytes(), signing.allowed_keys(signers)
        manifest.verify(signed, allowed)  # before a word of it is read
    found = manifest.parse(signed)
    if layout.generation(name) != found.generation:
        raise IntegrityError("it lies under the name of another generation")
    if signers is None:
        listed = _listed(fetcher, found, workspace)
        path = private_folder(workspace) / "allowed_signers"
        write_file(path, listed, replace=True)
        allowed = signing.allowed_keys(path)
        manifest.verify(signed, allowed)
    return Found(name, found, signed, listed, allowed)


def _listed(fetcher: Fetcher, found: Manifest, workspace: Path) -> bytes:
    if _SIGNERS not in found.files:
        raise IntegrityError(
            "it does not say whose signatures count: give an allowed-signers file with --signers"
        )
    blob = fetcher.blob(found.key, found.files[_SIGNERS], workspace)
    return b"".join(blob.chunks())


def _after_damage(found: Found) -> Found:
    return Found(found.name, found.manifest, found.signed, found.signers, found.allowed, damaged=True)


def _fingerprint(public: bytes) -> str:
    kind = signing.KEY_TYPE
    blob = len(kind).to_bytes(4, "big") + kind + len(public).to_bytes(4, "big") + public
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
