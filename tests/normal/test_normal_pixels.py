"""Pixels: the same in every lossless encoding, and decoded where it can do no harm."""

import os
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_kit import EXPLICIT, Element, Style, form, write
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from vault.dicom.part10 import file_head
from vault.normal import pixels

ENCODINGS = Path(__file__).parent.parent / "data" / "encodings"
SMALL_MR = [
    "2e5cb60878dc",
    "3e4c8c9fe70d",
    "4c0049e0355b",
    "b2b69dd2ae85",
]  # RLE, big endian, JPEG 2000, JPEG-LS


def image(shape, dtype, **more):
    """A data set with native pixels of this shape: frames, rows, columns, samples."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    frames, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = shape
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PhotometricInterpretation = "RGB" if shape[3] == 3 else "MONOCHROME2"
    if shape[3] == 3:
        dataset.PlanarConfiguration = 0
    depth = np.dtype(dtype).itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = depth, depth, depth - 1
    dataset.PixelRepresentation = int(np.dtype(dtype).kind == "i")
    dataset.PixelData = np.random.default_rng(1).integers(-90, 90, shape).astype(dtype).tobytes()
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    return dataset


def lines_of(tmp_path, dataset):
    dataset.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    return form(tmp_path / "image.dcm")


def pixel_line(lines):
    return next(line for line in lines if line.startswith("PixelData "))


GREY = [((1, 5, 5, 1), "u1"), ((1, 1, 1, 1), "u1"), ((3, 7, 6, 1), "<u2"), ((3, 5, 5, 1), "<i2")]
COLOUR = [((1, 5, 5, 3), "u1"), ((2, 4, 4, 3), "u1"), ((2, 5, 5, 3), "<u2")]


@pytest.mark.parametrize(("shape", "dtype"), GREY + COLOUR)
def test_rle_reads_as_what_was_compressed(tmp_path, shape, dtype):
    dataset = image(shape, dtype)
    native = lines_of(tmp_path, dataset)
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    assert lines_of(tmp_path, dataset) == native


def test_every_encoding_of_one_image_has_the_same_pixels():
    lines = {pixel_line(form(ENCODINGS / f"{name}.dcm")) for name in SMALL_MR}
    native = pydicom.dcmread(ENCODINGS / "3e4c8c9fe70d.dcm").pixel_array.astype("<i2").tobytes()
    assert lines == {f"PixelData OW 8192 bytes sha256:{sha256(native).hexdigest()}"}


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize("frames", [1, 3])
def test_planes_read_as_pixels(tmp_path, dtype, frames):
    dataset = image((frames, 5, 4, 3), dtype)
    by_pixel = lines_of(tmp_path, dataset)
    array = np.frombuffer(dataset.PixelData, dtype)[: frames * 60].reshape(frames, 20, 3)
    dataset.PixelData = array.transpose(0, 2, 1).tobytes()
    dataset.PlanarConfiguration = 1
    assert lines_of(tmp_path, dataset) == by_pixel


def test_planes_of_another_length_than_the_image_say_that_they_are_planes(tmp_path):
    dataset = image((1, 5, 4, 3), "u1", PlanarConfiguration=1)
    dataset.PixelData += b"more"
    assert "PlanarConfiguration US 1" in lines_of(tmp_path, dataset)


def test_an_icon_is_read_by_its_own_size(tmp_path):
    icon = image((1, 2, 2, 3), "u1")
    del icon.file_meta, icon.SOPClassUID, icon.SOPInstanceUID
    dataset = image((1, 5, 4, 3), "u1", IconImageSequence=[icon])
    before = lines_of(tmp_path, dataset)
    icon.PixelData = np.frombuffer(icon.PixelData, "u1").reshape(4, 3).T.tobytes()
    icon.PlanarConfiguration = 1
    assert lines_of(tmp_path, dataset) == before
    assert "IconImageSequence[1].PixelData OW 12 bytes" in "\n".join(before)


def test_lossy_pixels_are_said_by_their_bytes_and_syntax(tmp_path):
    fragments = b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0\4\0\0\0abcd" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data = file_head("1.2.3", "1.2.3", "1.2.840.10008.1.2.4.50")
    data += b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments
    digest = sha256(b"abcd").hexdigest()
    assert form(tmp_path / "image.dcm", data) == [
        f"PixelData OW 4 bytes in 1 fragments sha256:{digest} 1.2.840.10008.1.2.4.50"
    ]


@pytest.mark.parametrize("syntax", sorted(pixels.LOSSLESS))
def test_what_can_not_be_decoded_is_said_by_its_bytes(tmp_path, syntax):
    shape = [Element(0x00280010, "US", b"\4\0"), Element(0x00280011, "US", b"\4\0")]
    shape += [Element(0x00280100, "US", b"\x10\0"), Element(0x00280101, "US", b"\x10\0")]
    body = write(tuple(shape), Style(EXPLICIT))[
        len(file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", EXPLICIT)) :
    ]
    fragments = b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0\x60\0\0\0" + b"\xff\xd8\xff" * 32
    data = file_head("1.2.3", "1.2.3", syntax) + body + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments
    lines = form(tmp_path / "image.dcm", data + b"\xfe\xff\xdd\xe0\0\0\0\0")
    digest = sha256(b"\xff\xd8\xff" * 32).hexdigest()
    assert lines[-1] == f"PixelData OW 96 bytes in 1 fragments sha256:{digest} {syntax} (not decodable)"


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    def make(code):
        script = tmp_path / "child.py"
        script.write_text(code)
        monkeypatch.setattr(pixels, "_DECODER", script)
        decoder = pixels._Decoder()
        made.append(decoder)
        return decoder

    made = []
    yield make
    for decoder in made:
        decoder.child.stop()


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{}",
        "[1]",
        "null",
        "x" * 99999,
        '{"size": "1", "sha256": "00"}',
        '{"size": 1, "sha256": "a\\nb"}',
        '{"hex": "0"}',
    ],
)
def test_a_child_that_was_taken_over_can_say_nothing(scripted, said):
    decoder = scripted(f"import sys\nfor line in sys.stdin:\n    print({said!r}, flush=True)\n")
    assert decoder.decode(b"{}\n") is None


def test_a_child_that_dies_is_replaced(scripted):
    decoder = scripted("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    assert decoder.decode(b"{}\n") is None
    assert decoder.decode(b"{}\n") is None


def test_a_child_that_says_nothing_is_not_waited_for(scripted, monkeypatch):
    monkeypatch.setattr(pixels, "SECONDS", 0.3)
    decoder = scripted("import time\ntime.sleep(60)\n")
    start = time.monotonic()
    assert decoder.decode(b"{}\n") is None
    assert time.monotonic() - start < 5
    assert decoder.child.pid is None


def test_one_child_serves_many_objects():
    form(ENCODINGS / "2e5cb60878dc.dcm")
    first = pixels._decoder(os.getpid()).child.pid
    form(ENCODINGS / "4c0049e0355b.dcm")
    assert pixels._decoder(os.getpid()).child.pid == first != os.getpid()
