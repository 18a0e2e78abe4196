"""Patients in a vault for the export's tests: real repositories, whose objects and normal forms are written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vault.archive.blobs import Blob, Bytes, hash_file
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer, allowed_keys
from vault.dicom.part10 import file_head

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
STORAGE = "1.2.840.10008.5.1.4.1.1."
SOP_CLASSES = {
    "CT": f"{STORAGE}2",
    "REG": f"{STORAGE}66.1",
    "RTSTRUCT": f"{STORAGE}481.3",
    "RTPLAN": f"{STORAGE}481.5",
    "RTDOSE": f"{STORAGE}481.2",
    "RTIMAGE": f"{STORAGE}481.1",
    "RTRECORD": f"{STORAGE}481.4",
    "PRIVATE": "1.2.246.352.70.1.70",
}


def made_object(modality: str, uid: str, *, size: int = 500, **attributes: str) -> tuple[bytes, bytes]:
    """An object's file, whose data set is noise, and its normal form."""
    sop_class = SOP_CLASSES[modality]
    data = file_head(sop_class, uid, "1.2.840.10008.1.2") + uid.encode().ljust(size, b"\xa5")
    values = {
        "Modality": modality,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": f"1.2.3.{list(SOP_CLASSES).index(modality) + 20}",
        **attributes,
    }
    lines = [f"SOPClassUID UI {sop_class} Its Name", f"SOPInstanceUID UI {uid}"]
    for path, value in values.items():
        vr = "UI" if path.endswith("UID") else "IS" if path.endswith("Number") else "LO"
        lines.append(f"{path} {vr} {value}" if vr != "LO" else f'{path} LO "{value}"')
    return data, ("\n".join(["normal-form 1", *lines]) + "\n").encode()


def edits_of(modality: str, uid: str, series: str = "1.2.3.9", **attributes: str) -> dict[str, Blob | None]:
    """The edits that put one object into a patient's tree."""
    data, text = made_object(modality, uid, **attributes)
    stem = f"dicom/{modality}/{series}/{uid}"
    return {f"{stem}.dcm": Bytes(data), f"{stem}.txt": Bytes(text)}


class Department:
    """A vault's root with keys, to which patients are added."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "vault"
        self.root.mkdir()
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        private = folder / "signing_key"
        private.touch(mode=0o600)
        private.write_bytes(key)
        self.signer = Signer.load(private)
        self.allowed_file = folder / "allowed_signers"
        self.allowed_file.write_text(f'vault@localhost namespaces="git" {self.signer.public_line}\n')
        self.allowed = allowed_keys(self.allowed_file)

    def commit(
        self, patient_id: str, edits: Mapping[str, Blob | None], signer: Signer | None = None
    ) -> PatientRepository:
        """Commit to a patient's repository, made when there is none; each file is in the same pack."""
        repository = PatientRepository.open(self.root, patient_id) or PatientRepository.create(
            self.root, patient_id
        )
        repository.commit(
            parent=repository.tip(), edits=edits, message="a night", when=NOW, signer=signer or self.signer
        )
        return repository

    def patient(self, patient_id: str, name: str = "Müller^Anna") -> PatientRepository:
        """A patient with images, a structure set, two plans, a dose, a record, a document, and a private object."""
        edits: dict[str, Blob | None] = {
            "patient.json": Bytes(f'{{"patient": {{"name": "{name}"}}}}\n'.encode()),
            "documents/77/consent form.pdf": Bytes(b"%PDF-1.7"),
            "documents/77/record.txt": Bytes(b"normal-form 1\n"),
        }
        for number in range(1, 4):
            uid = f"1.2.3.1.{9 - number}"
            edits |= edits_of(
                "CT", uid, "1.2.3.1", SeriesDescription="Planning CT", InstanceNumber=str(number)
            )
        edits |= edits_of("RTSTRUCT", "1.2.3.3.1", StructureSetLabel="Prostate", StructureSetDate="20261101")
        edits |= edits_of(
            "RTPLAN",
            "1.2.3.5.1",
            RTPlanLabel="PROSTATE_1A",
            ApprovalStatus="APPROVED",
            RTPlanDate="20261102",
        )
        edits |= edits_of("RTPLAN", "1.2.3.5.2", RTPlanLabel="prostate_1a", ApprovalStatus="APPROVED")
        dose = {"ReferencedRTPlanSequence[1].ReferencedSOPInstanceUID": "1.2.3.5.1 RT Plan"}
        edits |= edits_of("RTDOSE", "1.2.3.4.1", DoseSummationType="PLAN", **dose)
        record = {
            "TreatmentSessionBeamSequence[1].CurrentFractionNumber": "3",
            "TreatmentSessionBeamSequence[1].BeamName": "ARC1",
        }
        edits |= edits_of(
            "RTRECORD", "1.2.3.7.1", TreatmentDate="20261120", TreatmentTime="143200.5", **dose, **record
        )
        edits |= edits_of("PRIVATE", "1.2.3.8.1", "1.2.3.8")
        return self.commit(patient_id, edits)

    def big(self, patient_id: str, source: Path) -> PatientRepository:
        """A patient with one large object, the file `source`."""
        _, text = made_object("CT", "1.9.9")
        stem = "dicom/CT/1.9/1.9.9"
        return self.commit(patient_id, {f"{stem}.dcm": hash_file(source), f"{stem}.txt": Bytes(text)})
