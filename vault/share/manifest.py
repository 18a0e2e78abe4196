"""The manifest: which repositories there are, what their refs are, and the key to the names on the share.

Whoever can open the envelopes finds everything from the newest one. It is text of a line per fact, signed in the SSH
signature format by the key that signs the commits, so that nobody who can write to the share, and knows the public
keys that it is encrypted to, can pass off another state as the vault's.

    vault-manifest 1
    generation 4711                               commits in the ledger: a later manifest has more
    key 6f1e…                                     the pseudonym key, from which the names on the share follow
    file ID keys/allowed_signers                  files of the vault's folder; each is a blob on the share
    repository ledger.git
    ref ID refs/heads/main
    repository repos/4711.git
    patient "4711"                                a JSON string
    ref ID refs/heads/main
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from vault.archive import signing
from vault.archive.signing import Signer
from vault.errors import IntegrityError

HEAD = "vault-manifest 1"

LEDGER = "ledger.git"
OVERVIEW = "overview.git"

LARGEST = 64 << 20
"""Bytes of the largest manifest that is read: a department with a million refs."""

_BEGIN = "-----BEGIN SSH SIGNATURE-----\n"
_OID = "[0-9a-f]{40}"
_PART = r"(?!\.{1,2}(?:/|$))[0-9A-Za-z._%~-]+"
_FILE = re.compile(rf"file ({_OID}) ({_PART}(?:/{_PART})*)", re.ASCII)
_REF = re.compile(rf"ref ({_OID}) (refs/(?:heads|vault)/[0-9A-Za-z][0-9A-Za-z_-]*)", re.ASCII)
_REPOSITORY = re.compile(r"repository (ledger\.git|overview\.git|repos/[0-9A-Za-z._%~-]+\.git)", re.ASCII)
_KEY = re.compile(r"key ([0-9a-f]{64})", re.ASCII)
_GENERATION = re.compile(r"generation ([0-9]{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One repository: its path below the vault's root, its refs, and whose it is."""

    path: str
    refs: dict[str, str]
    """Full name to commit."""
    patient_id: str | None = None
    """As the ROIS spells it; None for the ledger and the overview."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the vault was when it last went to the share."""

    generation: int
    key: bytes = field(repr=False)
    """The pseudonym key, 32 bytes."""
    files: dict[str, str] = field(default_factory=dict)
    """Path below the vault's folder to git blob id."""
    entries: tuple[Entry, ...] = ()

    def entry(self, path: str) -> Entry | None:
        """The repository at `path`, if it is listed."""
        return next((entry for entry in self.entries if entry.path == path), None)


def encode(manifest: Manifest) -> bytes:
    """Return the text, without its signature: the same for the same facts."""
    lines = [HEAD, f"generation {manifest.generation}", f"key {manifest.key.hex()}"]
    lines += [f"file {oid} {path}" for path, oid in sorted(manifest.files.items())]
    for entry in sorted(manifest.entries, key=lambda entry: entry.path):
        lines.append(f"repository {entry.path}")
        if entry.patient_id is not None:
            lines.append(f"patient {json.dumps(entry.patient_id)}")
        lines += [f"ref {oid} {name}" for name, oid in sorted(entry.refs.items())]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def sign(text: bytes, signer: Signer) -> bytes:
    """Return the signed manifest: `text`, then the armored signature of it."""
    return text + signer.sign(text).encode()


def split(data: bytes) -> tuple[bytes, str]:
    """Return a signed manifest's text and its signature; raises IntegrityError where there is none."""
    text, mark, signature = data.partition(_BEGIN.encode())
    if not mark:
        raise IntegrityError("a manifest on the share is not signed, so the vault did not write it")
    return text, _BEGIN + signature.decode("ascii", "replace")


def verify(data: bytes, allowed: frozenset[bytes]) -> bytes:
    """Return which of the `allowed` keys signed this manifest. Raises IntegrityError when none did."""
    return signing.verify(*split(data), allowed)


def parse(data: bytes) -> Manifest:
    """Read a signed manifest; the signature is `verify`'s part. Raises IntegrityError for whatever is not one."""
    text = split(data)[0]
    try:
        head, *lines = text.decode("ascii").splitlines()
        _only([head], re.compile(HEAD), group=0)
        generation, key = int(_only(lines, _GENERATION)), bytes.fromhex(_only(lines, _KEY))
        start = next((at for at, line in enumerate(lines) if line.startswith("repository ")), len(lines))
        files = {found[2]: found[1] for line in lines[:start] if (found := _FILE.fullmatch(line))}
        return Manifest(generation, key, files, tuple(_entries(lines[start:])))
    except (ValueError, RecursionError) as error:  # of JSON that is nested without end
        raise IntegrityError(
            "a file on the share is no manifest that this version of vault understands"
        ) from error


def _only(lines: Iterable[str], pattern: re.Pattern[str], group: int = 1) -> str:
    for line in lines:
        if found := pattern.fullmatch(line):
            return found[group]
    raise ValueError(pattern.pattern)


def _entries(lines: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    patient: str | None = None
    for line in lines:
        if found := _REPOSITORY.fullmatch(line):
            entries.append(Entry(found[1], {}))
        elif line.startswith("patient "):
            patient = json.loads(line.removeprefix("patient "))
            if not isinstance(patient, str) or not patient or "\0" in patient:
                raise ValueError(line)
            patient.encode()  # half a surrogate pair is a ValueError, too
            entries[-1] = Entry(entries[-1].path, {}, patient)
        elif found := _REF.fullmatch(line):
            entries[-1].refs[found[2]] = found[1]
        else:
            raise ValueError(line)
    return entries
