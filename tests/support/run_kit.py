"""Runs for a test: histories of patients below one vault, and what the ledger would say of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from history_kit import History

from vault import setup
from vault.archive.ledger import Ledger
from vault.archive.signing import Signer
from vault.config import Config, load
from vault.keys import Pseudonyms

BEGAN = datetime.fromisoformat("2026-11-25T02:00:00+01:00")


def normal(**elements: str) -> bytes:
    """A normal form; values are written as they are."""
    lines = [f"{path} {value}" for path, value in elements.items()]
    return "\n".join(["normal-form 1", *lines, ""]).encode()


def plan(label: str = "PROSTATE", meterset: str = "100", leaves: str = "-10\\-10\\10\\10") -> bytes:
    """The normal form of a plan with one beam."""
    beam = "BeamSequence[1]"
    points = f"{beam}.ControlPointSequence[0]"
    return "\n".join(
        [
            "normal-form 1",
            "SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan Storage",
            f'RTPlanLabel SH "{label}"',
            f'{beam}.BeamName LO "Arc 1"',
            f"{points}.BeamLimitingDevicePositionSequence[MLCX].LeafJawPositions DS {leaves}",
            f"FractionGroupSequence[1].ReferencedBeamSequence[1].BeamMeterset DS {meterset}",
            "",
        ]
    ).encode()


def record(fraction: int) -> bytes:
    """The normal form of a treatment record."""
    return normal(
        SOPClassUID="UI 1.2.840.10008.5.1.4.1.1.481.4 RT Beams Treatment Record Storage",
        TreatmentDate='DA "20261124"',
        **{"TreatmentSessionBeamSequence[1].CurrentFractionNumber": f"IS {fraction}"},
    )


def files(path: str, form: bytes) -> dict[str, bytes]:
    """An object and its normal form, under `dicom/MODALITY/SERIES/UID`."""
    return {f"dicom/{path}.dcm": b"DICM" + form, f"dicom/{path}.txt": form}


def who(name: str) -> dict[str, bytes]:
    """A patient.json with a name."""
    import json

    return {"patient.json": json.dumps({"patient": {"name": name, "birth_date": "19480229"}}).encode()}


class Department:
    """A vault made by `vault init`, with histories and a ledger that the test writes."""

    def __init__(self, folder: Path) -> None:
        setup.initialize(folder, name="Test department", timezone="Europe/Zurich")
        self.folder = folder
        self.ledger = Ledger(folder, Signer.load(folder / "keys/signing_key"))
        self.pseudonyms = Pseudonyms.load(folder / "keys/pseudonym.key")
        self.histories: dict[str, History] = {}

    @property
    def config(self) -> Config:
        return load(self.folder / "vault.toml")

    def patient(self, patient_id: str) -> History:
        """The history of a patient, begun where there is none."""
        if patient_id not in self.histories:
            self.histories[patient_id] = History(self.folder, patient_id)
        return self.histories[patient_id]

    def run(
        self,
        steps: Mapping[str, tuple[str | None, str | None]],
        *,
        number: int = 1,
        name: str | None = None,
        entry: Mapping[str, Any] | None = None,
        **event: Any,
    ) -> str:
        """Record a run, `number` nights on; `steps` are old and new commit by patient ID. Returns its name."""
        began = BEGAN + timedelta(days=number - 1)
        run = f"202611{24 + number:02}T010000Z-000{number}"
        self.ledger.append(
            "runs",
            name or run,
            {
                "run": run,
                "procedure": "sync",
                "vault": "0.1.0",
                "started": began.isoformat(),
                "patients": {
                    self.pseudonyms.of(patient_id): {
                        "old_commit": old,
                        "new_commit": new,
                        "unchanged": 3,
                        "complete": True,
                        "failed": 0,
                        "gaps": 0,
                        "anomalies": 0,
                        **(entry or {}),
                    }
                    for patient_id, (old, new) in steps.items()
                },
                "census": sorted(self.pseudonyms.of(patient_id) for patient_id in steps),
                "anomalies": [],
                "failed": 0,
                **event,
            },
            when=began,
        )
        return run
