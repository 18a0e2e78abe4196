from __future__ import annotations

import random
import zlib
from datetime import date

import pytest

from vault.compare.anomaly.content import contradicts, entropy, is_random, kind, renamed
from vault.department.papers import docx, pdf, rtf

PDF = pdf("Consent", ["I agree."], date(2026, 11, 24))
DOCX, RTF = docx("Setup", ["Supine."]), rtf("Letter", ["Dear Dr Ostrow"])
LATIN = "Prüfung der Lagerung: Füße über Kreuz, Kopf mittig. ".encode("latin-1") * 5


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def test_entropy_is_what_the_formula_says() -> None:
    assert entropy(b"") == entropy(b"aaaa") == 0
    assert entropy(b"ab" * 50) == pytest.approx(1)
    assert entropy(bytes(range(256))) == pytest.approx(8)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PDF, "PDF"),
        (b"\n\n" + PDF, "PDF"),
        (DOCX, "ZIP"),
        (RTF, "RTF"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "OLE"),
        (b"\xff\xd8\xff\xe0" + noise(100), "JPEG"),
        (b"plain text", "TEXT"),
        ("für".encode() * 40, "TEXT"),
        (LATIN, "TEXT"),
        ("Text".encode("utf-16"), "TEXT"),
        (b"", ""),
        (noise(4000), ""),
    ],
)
def test_the_kind_of_a_file_is_that_of_its_first_bytes(data: bytes, expected: str) -> None:
    assert kind(data) == expected


@pytest.mark.parametrize("size", [64, 100, 256, 700, 5000, 65536])
def test_random_bytes_are_random_however_few(size: int) -> None:
    assert all(is_random(noise(size, seed)) for seed in range(20))


@pytest.mark.parametrize(
    "data",
    [
        PDF,
        DOCX,
        RTF,
        LATIN,
        b"",
        noise(63),
        bytes(5000),
        b"\x00\x01" * 4000,
        b"\x1f\x8b" + zlib.compress(LATIN),
    ],
)
def test_documents_are_not_random(data: bytes) -> None:
    assert not is_random(data)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("consent.pdf", PDF, False),
        ("consent.PDF", noise(500), True),
        ("consent.pdf", RTF, True),
        ("setup.docx", DOCX, False),
        ("setup.docx", PDF, True),
        ("letter.doc", RTF, False),
        ("letter.doc", b"<html>old</html>", False),
        ("letter.doc", PDF, True),
        ("photo.jpg", noise(500), True),
        ("note.txt", LATIN, False),
        ("note", noise(500), False),
        ("consent.locked", noise(500), False),
        ("empty.pdf", b"", False),
    ],
)
def test_what_an_extension_promises(name: str, data: bytes, expected: bool) -> None:
    assert contradicts(name, data) is expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("plan.pdf", "plan.pdf.locked", True),
        ("plan.pdf", "plan.crypt", True),
        ("plan.pdf", "plan-2.pdf", False),
        ("plan.doc", "plan.docx", False),
        ("", "plan.locked", False),
        ("scan.xyz", "scan.zyx", False),
    ],
)
def test_another_extension(old: str, new: str, expected: bool) -> None:
    assert renamed(old, new) is expected
