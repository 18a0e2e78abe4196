"""What DCMTK makes of an object by encoding it anew has the same normal form."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

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
