"""What DCMTK makes of an object by encoding it anew has the same normal form."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from vault.normal.dicom import normal_form

DATA = Path(__file__).parent.parent / "data"
FILES = sorted(DATA.rglob("*.dcm"))

pytestmark = pytest.mark.system

ENCODINGS = {
    "implicit": ["dcmconv", "+ti"],
    "explicit": ["dcmconv", "+te"],
    "big-endian": ["dcmconv", "+tb"],
    "deflated": ["dcmconv", "+td"],
    "undefined-lengths": ["dcmconv", "-e"],
    "defined-lengths": ["dcmconv", "+e"],
    "group-lengths": ["dcmconv", "+ti", "+g"],
    "padded": ["dcmconv", "+te", "+p", "2048", "512"],
    "rle": ["dcmcrle"],
    "jpeg-lossless": ["dcmcjpeg", "+e1"],
    "jpeg-ls-lossless": ["dcmcjpls"],
}

NOT_CONVERTIBLE = {"jpeg-lossless", "jpeg-ls-lossless", "rle"}
"""DCMTK decodes no JPEG 2000 and compresses no floats or documents: it may refuse these, and says so."""


def form(path: Path) -> list[str]:
    out = io.BytesIO()
    normal_form(path, out)
    return out.getvalue().decode().split("\n")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_form_survives_re_encoding(encoding: str, need: Callable[..., None], tmp_path: Path) -> None:
    command = ENCODINGS[encoding]
    need(command[0])
    converted = 0
    for file in FILES:
        target = tmp_path / file.name
        done = subprocess.run(
            [*command, str(file), str(target)], capture_output=True, check=False, timeout=60
        )
        if done.returncode == 0:
            converted += 1
            assert form(target) == form(file), file.name
    assert converted > (8 if encoding in NOT_CONVERTIBLE else 14)


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100"])
def test_the_form_survives_another_character_set(
    charset: str, need: Callable[..., None], tmp_path: Path
) -> None:
    need("dcmconv")
    converted = 0
    for file in FILES:
        target = tmp_path / file.name
        command = ["dcmconv", "--convert-to-charset", charset, str(file), str(target)]
        if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0:
            converted += 1
            assert form(target) == form(file), file.name
    assert converted > 14


@pytest.mark.parametrize(
    "encoder", [["dcmcrle"], ["dcmcjpeg", "+e1"], ["dcmcjpls"]], ids=lambda command: command[0]
)
@pytest.mark.parametrize(("stored", "signed"), [(10, 1), (12, 0), (12, 1), (15, 1), (16, 1)])
@pytest.mark.parametrize("frames", [1, 3])
def test_signed_pixels_of_few_bits_survive_compression(
    encoder: list[str], stored: int, signed: int, frames: int, need: Callable[..., None], tmp_path: Path
) -> None:
    need(encoder[0])
    native, compressed = tmp_path / "native.dcm", tmp_path / "compressed.dcm"
    lowest = -(1 << stored - 1) if signed else 0
    pixels = np.random.default_rng(1).integers(lowest, lowest + (1 << stored), (frames, 9, 7)).astype("<i4")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames, dataset.SamplesPerPixel = 9, 7, frames, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, stored - 1
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = signed, "MONOCHROME2"
    dataset.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
    dataset.save_as(native, enforce_file_format=True)
    subprocess.run([*encoder, str(native), str(compressed)], capture_output=True, check=True, timeout=60)
    assert form(compressed) == form(native)
