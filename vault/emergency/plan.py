"""What an export will write of one patient: the commit, its proof, and a name for every file. Nothing is written here.

The proof is a chain: the commit's signature vouches for the root's `SHA256SUMS`, this for the one of each folder, and
that for every file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from vault.archive import sums
from vault.archive.refs import VERIFIED
from vault.archive.repository import PatientRepository
from vault.emergency import layout
from vault.emergency.attributes import Attributes, read_attributes
from vault.emergency.manifest import ExportedPatient, Failed, Manifest
from vault.emergency.names import distinct
from vault.errors import IntegrityError, UsageError, VaultError
from vault.model import Failure


@dataclass(frozen=True, slots=True)
class Request:
    """One patient to be exported."""

    repository: PatientRepository
    at: str | None = None
    """`verified`, `latest`, a commit or a day; None for verified where somebody has verified, else latest."""


@dataclass(slots=True)
class Exported:
    """What became of one patient."""

    patient_id: str
    folder: str = ""
    commit: str | None = None
    at: str = ""
    vouched: bool = False
    newer: int = 0
    """Commits of `main` after this one: what nobody has vouched for, where this one is verified."""
    files: int = 0
    size: int = 0
    """Bytes, of all files."""
    kept: int = 0
    """Files that an earlier run had written; they were read again and are right."""
    failures: list[Failure] = field(default_factory=list)
    integrity: bool = True
    """False when something was not what its checksum or signature says."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file to be written."""

    source: str
    oid: str
    path: str
    sha256: str
    size: int
    attributes: Attributes


@dataclass(slots=True)
class Plan:
    """What will be written of one patient, and what became of it."""

    repository: PatientRepository
    entry: ExportedPatient
    result: Exported
    items: list[Item] = field(default_factory=list)

    def fail(self, subject: str, error: VaultError) -> None:
        """Note something that is not exported."""
        self.result.failures.append(Failure(subject, str(error)))
        self.entry.failed.append(Failed(subject, str(error)))
        self.result.integrity &= not isinstance(error, IntegrityError)


def plan_patient(request: Request, manifest: Manifest, allowed: frozenset[bytes] | None) -> Plan:
    """Decide what is written of one patient; what can't be is noted in the result."""
    repository = request.repository
    patient_id = repository.patient_id
    plan = Plan(
        repository, ExportedPatient(patient_id, "", _folder(manifest, patient_id, "")), Exported(patient_id)
    )
    try:
        _choose(plan, request.at, manifest, allowed)
        commit = plan.entry.commit
        tree = repository.tree(commit)
        digests = _digests(plan, tree)
        _name(plan, tree, digests, manifest)
        _list(plan, tree, digests)
    except VaultError as error:
        plan.fail("", error)
        plan.items, plan.entry.commit = [], None
    plan.result.folder, plan.result.commit = plan.entry.folder, plan.entry.commit
    return plan


def _choose(plan: Plan, at: str | None, manifest: Manifest, allowed: frozenset[bytes] | None) -> None:
    """Find the commit, see that it is signed, and that the folder does not hold another state of the patient."""
    repository, entry = plan.repository, plan.entry
    verified = repository.ref(VERIFIED)
    entry.at = plan.result.at = at or ("verified" if verified else "latest")
    commit = repository.resolve(entry.at)
    if allowed is not None:
        repository.verify_commit(commit, allowed)
        entry.signed = True
    earlier = manifest.patient(entry.patient_id)
    if earlier and earlier.commit not in (None, commit):
        raise UsageError(
            f"The folder holds commit {earlier.commit[:12]} of this patient already. Name an empty folder, or "
            f"continue that export with --at {earlier.commit[:12]}."
        )
    entry.commit = commit
    entry.committed = repository.commit_info(commit).when
    entry.vouched = plan.result.vouched = commit == verified
    log = [each.oid for each in repository.log()]
    plan.result.newer = log.index(commit) if commit in log else 0


def _digests(plan: Plan, tree: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of every file of the tree, each vouched for by the root's `SHA256SUMS`."""
    read = plan.repository.read
    if sums.NAME not in tree:
        raise IntegrityError(
            "This commit has no SHA256SUMS, so nothing in it can be proved. Try --at with another."
        )
    digests = sums.parse(read(tree[sums.NAME]))
    for path in [path for path in digests if path.endswith(f"/{sums.NAME}")]:
        folder = path.removesuffix(sums.NAME)
        try:
            data = read(tree[path]) if path in tree else b""
            lines = sums.parse(data)
        except IntegrityError as error:
            plan.fail(path, error)
            continue
        if hashlib.sha256(data).hexdigest() == digests[path]:
            digests |= {folder + name: digest for name, digest in lines.items()}
        else:
            plan.fail(path, IntegrityError("It is not the file that the signed commit vouches for."))
    return digests


def _name(plan: Plan, tree: Mapping[str, str], digests: Mapping[str, str], manifest: Manifest) -> None:
    """Find the patient's name and, unless an earlier run has given one, a folder for it."""
    data = plan.repository.read(tree["patient.json"]) if "patient.json" in tree else b"{}"
    try:
        name = json.loads(data).get("patient", {}).get("name", "")
    except (ValueError, AttributeError):
        name = ""
    if "patient.json" in tree and hashlib.sha256(data).hexdigest() != digests.get("patient.json"):
        plan.fail("patient.json", IntegrityError("It is not what the vault's checksum stands for."))
        name = ""
    plan.entry.name = name if isinstance(name, str) else ""
    plan.entry.folder = _folder(manifest, plan.entry.patient_id, plan.entry.name)


def _folder(manifest: Manifest, patient_id: str, name: str) -> str:
    """The patient's folder: the one it has, else a readable name that no other patient has."""
    earlier = manifest.patient(patient_id)
    if earlier and earlier.folder:
        return earlier.folder
    wanted = {f"patient {entry.patient_id}": entry.folder for entry in manifest.patients}
    mine = layout.patient_folder(patient_id, name)
    return distinct({**wanted, f"patient {patient_id}": mine})[f"patient {patient_id}"]


def _list(plan: Plan, tree: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """List the files to write: every object as received, and every document."""
    sources = [
        layout.Source(path, _attributes(plan, tree, path)) for path in sorted(tree) if _is_exported(path)
    ]
    places = layout.arrange(sources)
    for source in sources:
        oid = tree[source.path]
        if source.path not in digests:
            plan.fail(source.path, IntegrityError("No checksum vouches for it, so it was not exported."))
            continue
        try:
            size = plan.repository.size(oid)
        except IntegrityError as error:
            plan.fail(source.path, error)
            continue
        place = f"{plan.entry.folder}/{places[source.path]}"
        plan.items.append(Item(source.path, oid, place, digests[source.path], size, source.attributes))


def _is_exported(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if path.startswith("dicom/"):
        return name.endswith(".dcm")
    return path.startswith("documents/") and bool(folder) and name != sums.NAME


def _attributes(plan: Plan, tree: Mapping[str, str], path: str) -> Attributes:
    """What an object is named by; nothing for a document, or where the normal form can't be read."""
    normal_form = path.removesuffix(".dcm") + ".txt"
    if not path.endswith(".dcm") or path.startswith("documents/") or normal_form not in tree:
        return {}
    try:
        with plan.repository.stream(tree[normal_form]) as source:
            return read_attributes(source)
    except IntegrityError as error:
        plan.fail(normal_form, error)
        return {}


def enter(manifest: Manifest, entry: ExportedPatient) -> None:
    """Put a patient's entry into the manifest, in the place that it has; a failure does not replace an export."""
    for number, earlier in enumerate(manifest.patients):
        if earlier.patient_id == entry.patient_id:
            if entry.commit is not None or earlier.commit is None:
                manifest.patients[number] = entry
            return
    manifest.patients.append(entry)
