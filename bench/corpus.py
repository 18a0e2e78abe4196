"""The seeded corpus: synthetic patients of about 90 MB, the same bytes for the same arguments.

Each patient has a planning CT (noise included, as compression depends on it), a structure set of 6 MB, a VMAT plan
of two arcs, a dose of 17 MB and ten treatment records with their control points. CT is Explicit VR Little Endian,
the rest Implicit VR Little Endian, which most systems deliver.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTBeamsTreatmentRecordStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

SEED = 1


@dataclass(frozen=True, slots=True)
class Size:
    """How large a patient is; the defaults make 90 MB, a test takes a small one."""

    matrix: int = 512
    """Rows and columns of a CT slice."""
    slices: int = 120
    """CT slices, and frames of the dose."""
    control_points: int = 178
    """Control points of each of the two arcs."""
    records: int = 10
    """Treatment records."""


FULL = Size()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files on disk, patient by patient."""

    folder: Path
    patients: dict[str, list[Path]]
    """Patient ID to files, in the order in which they are sent."""

    @property
    def files(self) -> list[Path]:
        """Every file."""
        return [file for files in self.patients.values() for file in files]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)


def make_corpus(folder: Path, patients: int, size: Size = FULL, seed: int = SEED) -> Corpus:
    """Write `patients` patients below `folder`, each in a folder of its own; those that are there are kept."""
    made = {}
    for number in range(1, patients + 1):
        name = f"BENCH-{number:03}"
        target = folder / name
        if not (target / ".complete").exists():
            target.mkdir(parents=True, exist_ok=True)
            for file, dataset in _Patient(name, number, size, seed).objects():
                dataset.save_as(target / file, enforce_file_format=True)
            (target / ".complete").touch()
        made[name] = sorted(target.glob("*.dcm"))
    return Corpus(folder, made)


def small_plan(patient_id: str, label: str) -> Dataset:
    """A plan of a few control points: the same object but for its label."""
    patient = _Patient(patient_id, 1, Size(control_points=5), SEED)
    plan = patient.plan()
    plan.RTPlanLabel = label
    return plan


class _Patient:
    """Makes the objects of one patient."""

    def __init__(self, name: str, number: int, size: Size, seed: int) -> None:
        self._name = name
        self._size = size
        self._seed = seed
        self._random = np.random.default_rng([seed, number])

    def objects(self) -> Iterator[tuple[str, Dataset]]:
        """File name and data set of every object."""
        for index, pixels in enumerate(self._anatomy()):
            yield f"CT{index:04}.dcm", self._slice(index, pixels)
        yield "RS.dcm", self._structures()
        yield "RP.dcm", self.plan()
        yield "RD.dcm", self._dose()
        for fraction in range(self._size.records):
            yield f"RT{fraction:02}.dcm", self._record(fraction)

    def _uid(self, *what: object) -> str:
        digest = hashlib.sha256("/".join(map(str, (self._seed, self._name, *what))).encode()).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def _base(self, sop_class: str, modality: str, *what: object, explicit: bool = False) -> Dataset:
        dataset, meta = Dataset(), FileMetaDataset()
        uid = self._uid(modality, *what)
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(uid)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
        dataset.file_meta = meta
        _set(
            dataset,
            SpecificCharacterSet="ISO_IR 192",
            SOPClassUID=sop_class,
            SOPInstanceUID=uid,
            StudyDate="20240102",
            StudyTime="101010",
            Modality=modality,
            Manufacturer="ACME RT",
            PatientName=f"Bench^{self._name}",
            PatientID=self._name,
            PatientBirthDate="19500101",
            PatientSex="O",
            StudyInstanceUID=self._uid("study"),
            SeriesInstanceUID=self._uid("series", modality),
            FrameOfReferenceUID=self._uid("frame"),
        )
        return dataset

    def _anatomy(self) -> Iterator[np.ndarray[Any, Any]]:
        """A body with lungs and a spine, and noise of 10 HU everywhere."""
        side = self._size.matrix
        y, x = (np.mgrid[0:side, 0:side] - side / 2).astype(np.float32) / side
        for index in range(self._size.slices):
            z = index / self._size.slices - 0.5
            image = np.full((side, side), -1000, np.float32)
            body = (x / (0.40 + 0.03 * np.cos(3 * z))) ** 2 + (y / (0.27 + 0.02 * np.sin(4 * z))) ** 2 < 1
            image[body] = 40
            for cx, cy, width, height, value in ((-0.16, 0, 0.1, 0.14, -700), (0.16, 0, 0.1, 0.14, -700)):
                image[((x - cx) / width) ** 2 + ((y - cy) / height) ** 2 < 1 - z * z] = value
            image[(x / 0.04) ** 2 + ((y - 0.16) / 0.045) ** 2 < 1] = 600
            image += 10 * self._random.standard_normal(image.shape, dtype=np.float32)
            yield np.clip(image, -1024, 3071).astype("<i2")

    def _slice(self, index: int, pixels: np.ndarray[Any, Any]) -> Dataset:
        dataset = self._base(CTImageStorage, "CT", index, explicit=True)
        _set(
            dataset,
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            SliceThickness="2.5",
            KVP="120",
            InstanceNumber=index + 1,
            ImagePositionPatient=["-250", "-250", f"{index * 2.5:.1f}"],
            ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
            PixelSpacing=["0.9765625", "0.9765625"],
            RescaleIntercept="0",
            RescaleSlope="1",
        )
        _set_pixels(dataset, pixels, frames=None, signed=True)
        return dataset

    def _structures(self) -> Dataset:
        dataset = self._base(RTStructureSetStorage, "RTSTRUCT")
        _set(dataset, StructureSetLabel="CT_1", StructureSetDate="20240102", StructureSetTime="101112")
        names, contours = [], []
        for number in range(1, 21):
            names.append(_item(ROINumber=number, ROIName=f"ROI_{number:02}", ROIGenerationAlgorithm="MANUAL"))
            found = [self._contour(index) for index in self._some_slices()]
            contours.append(_item(ReferencedROINumber=number, ContourSequence=Sequence(found)))
        dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(names), Sequence(contours)
        return dataset

    def _some_slices(self) -> range:
        slices = self._size.slices
        first = int(self._random.integers(0, slices // 3 + 1))
        return range(first, int(self._random.integers(2 * slices // 3, slices + 1)))

    def _contour(self, index: int) -> Dataset:
        points = int(self._random.integers(120, 300))
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        radius = 80 + 5 * np.sin(5 * angle + index) + 0.3 * self._random.standard_normal(points)
        where = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(points, index * 2.5)], 1)
        image = _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=self._uid("CT", index))
        return _item(
            ContourImageSequence=Sequence([image]),
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=points,
            ContourData=_decimals(where.ravel()),
        )

    def plan(self) -> Dataset:
        """The VMAT plan."""
        dataset = self._base(RTPlanStorage, "RTPLAN")
        beams = [
            _item(
                BeamNumber=number,
                BeamName=f"ARC{number}",
                BeamType="DYNAMIC",
                RadiationType="PHOTON",
                TreatmentMachineName="LINAC1",
                PrimaryDosimeterUnit="MU",
                FinalCumulativeMetersetWeight="1",
                NumberOfControlPoints=self._size.control_points,
                ControlPointSequence=Sequence(self._control_points()),
            )
            for number in (1, 2)
        ]
        _set(dataset, RTPlanLabel="VMAT1", RTPlanDate="20240102", RTPlanTime="101112")
        _set(dataset, RTPlanGeometry="PATIENT", ApprovalStatus="APPROVED", BeamSequence=Sequence(beams))
        return dataset

    def _control_points(self) -> Iterator[Dataset]:
        last = self._size.control_points - 1
        for index, leaves in enumerate(self._leaves()):
            yield _item(
                ControlPointIndex=index,
                CumulativeMetersetWeight=f"{index / last:.8f}",
                GantryAngle=f"{(181 + 2 * index) % 360:.1f}",
                GantryRotationDirection="CW" if index < last else "NONE",
                BeamLimitingDevicePositionSequence=leaves,
            )

    def _delivered_points(self) -> Iterator[Dataset]:
        for index, leaves in enumerate(self._leaves()):
            yield _item(
                ReferencedControlPointIndex=index,
                TreatmentControlPointDate="20240110",
                TreatmentControlPointTime=f"080000.{index:03}",
                SpecifiedMeterset=f"{index * 1.3:.3f}",
                DeliveredMeterset=f"{index * 1.3 + 0.01:.3f}",
                DoseRateDelivered=f"{590 + 10 * self._random.random():.1f}",
                GantryAngle=f"{(181 + 2 * index) % 360:.1f}",
                BeamLimitingDevicePositionSequence=leaves,
            )

    def _leaves(self) -> Iterator[Sequence]:
        """A sliding aperture of 60 leaf pairs, one item per control point."""
        position = np.repeat([-20.0, 20.0], 60)
        for _ in range(self._size.control_points):
            position = position + 1.5 * self._random.standard_normal(120)
            yield Sequence([_item(RTBeamLimitingDeviceType="MLCX", LeafJawPositions=_decimals(position))])

    def _dose(self) -> Dataset:
        dataset = self._base(RTDoseStorage, "RTDOSE")
        frames = self._size.slices
        z, y, x = np.mgrid[0:frames, 0:180, 0:200].astype(np.float32)
        dose = 60 * np.exp(-(((x - 100) / 35) ** 2) - ((y - 90) / 30) ** 2 - ((z - frames / 2) / 25) ** 2)
        dose *= 1 + 0.004 * self._random.standard_normal(dose.shape, dtype=np.float32)
        _set(dataset, DoseUnits="GY", DoseType="PHYSICAL", DoseSummationType="PLAN", DoseGridScaling="1.0e-6")
        _set(dataset, GridFrameOffsetVector=_decimals(np.arange(frames) * 2.5), PixelSpacing=["2.5", "2.5"])
        _set_pixels(dataset, np.clip(dose * 1e6, 0, 2**32 - 1).astype("<u4"), frames=frames, signed=False)
        return dataset

    def _record(self, fraction: int) -> Dataset:
        dataset = self._base(RTBeamsTreatmentRecordStorage, "RTRECORD", fraction)
        beams = [
            _item(
                CurrentFractionNumber=fraction + 1,
                TreatmentTerminationStatus="NORMAL",
                BeamName=f"ARC{number}",
                ReferencedBeamNumber=number,
                NumberOfControlPoints=self._size.control_points,
                ControlPointDeliverySequence=Sequence(self._delivered_points()),
            )
            for number in (1, 2)
        ]
        _set(dataset, TreatmentDate=f"202401{10 + fraction:02}", TreatmentTime="080000")
        dataset.TreatmentSessionBeamSequence = Sequence(beams)
        return dataset


def _set(dataset: Dataset, **values: object) -> None:
    for keyword, value in values.items():
        setattr(dataset, keyword, value)


def _item(**values: object) -> Dataset:
    item = Dataset()
    _set(item, **values)
    return item


def _decimals(values: np.ndarray[Any, Any]) -> list[str]:
    return list(np.char.mod("%.2f", values))


def _set_pixels(dataset: Dataset, pixels: np.ndarray[Any, Any], *, frames: int | None, signed: bool) -> None:
    bits = 8 * pixels.dtype.itemsize
    if frames is not None:
        dataset.NumberOfFrames = frames
    _set(dataset, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
    _set(dataset, Rows=pixels.shape[-2], Columns=pixels.shape[-1])
    _set(dataset, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(signed))
    dataset.add_new(0x7FE00010, "OW", pixels.tobytes())
