"""The normal form: every element as a line, the same however it was encoded, and a different one for other content."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dicom_kit import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, Style, form, form_of, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.dicom.part10 import file_head
from vault.normal.dicom import normal_form
from vault.normal.lines import parse
from vault.normal.output import Output, TooLongError

DATA = Path(__file__).parent.parent / "data"
FILES = sorted(path for path in DATA.rglob("*.dcm"))
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "object.dcm"


def beam(number: str, *more: Element) -> tuple[Element, ...]:
    return (Element(0x300A00C0, "IS", number), *more)


# what lines look like


def test_the_form_of_a_plan(path):
    points = ((Element(0x300A0112, "IS", "0"), Element(0x300A011E, "DS", "181.00")),)
    lines = form_of(
        path,
        Element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.481.5"),
        Element(0x00100010, "PN", "Doe^Jane^^"),
        Element(0x00280103, "US", b"\1\0"),
        Element(0x300A0002, "SH", 'A "1"'),
        Element(0x300A00B0, "SQ", (beam("2", Element(0x300A0111, "SQ", points)), beam("1"))),
        Element(0x32530010, "LO", "VARIAN MEDICAL SYSTEMS"),
        Element(0x32531010, "OB", bytes(range(200))),
        Element(0x7FE00010, "OW", bytes(100)),
    )
    assert lines == [
        "SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan Storage",
        'PatientName PN "Doe^Jane"',
        "PixelRepresentation US 1",
        'RTPlanLabel SH "A \\"1\\""',
        "BeamSequence[2].BeamNumber IS 2",
        "BeamSequence[2].ControlPointSequence[0].ControlPointIndex IS 0",
        "BeamSequence[2].ControlPointSequence[0].GantryAngle DS 181",
        "BeamSequence[1].BeamNumber IS 1",
        '{VARIAN MEDICAL SYSTEMS}(3253,00xx) LO "VARIAN MEDICAL SYSTEMS"',
        f"{{VARIAN MEDICAL SYSTEMS}}(3253,xx10) UN 200 bytes sha256:{hashlib.sha256(bytes(range(200))).hexdigest()}",
        f"PixelData OW 100 bytes sha256:{hashlib.sha256(bytes(100)).hexdigest()}",
    ]


def test_items_go_by_position_unless_all_have_different_names(path):
    twice = Element(0x300A00B0, "SQ", (beam("1"), beam("01")))
    nameless = Element(0x300A00B0, "SQ", (beam("7"), (Element(0x300A00C2, "LO", "b"),)))
    assert form_of(path, twice) == ["BeamSequence[1].BeamNumber IS 1", "BeamSequence[2].BeamNumber IS 1"]
    assert form_of(path, nameless)[1] == 'BeamSequence[2].BeamName LO "b"'


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_names_of_items_are_decoded_and_can_not_break_a_path(path, charset):
    item = ((Element(0x300A00B2, "SH", "é].X[1"),),)
    lines = form_of(path, Element(0x30080240, "SQ", item), Element(0x300A0206, "SQ", item), charset=charset)
    machine = ((Element(0x300A00B2, "SH", 'Gerät "1" [a]'),),)
    lines = form_of(path, Element(0x300A0206, "SQ", machine), charset=charset)
    (line,) = parse(line.encode() for line in lines)
    assert line.path == 'TreatmentMachineSequence["Gerät \\"1\\" \\b5ba\\b5d"].TreatmentMachineName'
    assert (line.keyword, line.tag, line.vr) == ("TreatmentMachineName", "(300a,00b2)", "SH")


def test_what_is_empty_says_so(path):
    private = Element(0x00291001, "SQ", ())
    lines = form_of(
        path,
        Element(0x00100020, "LO", ""),
        Element(0x00290010, "LO", "ACME"),
        private,
        Element(0x300A00B0, "SQ", ((),)),
        Element(0x300A0010, "SQ", ()),
        Element(0x300A0078, "IS", ""),
        Element(0x00280010, "US", b""),
    )
    assert lines == [
        'PatientID LO ""',
        'Rows US ""',
        '{ACME}(0029,00xx) LO "ACME"',
        "{ACME}(0029,xx01) UN 0 bytes",
        "DoseReferenceSequence SQ empty",
        'NumberOfFractionsPlanned IS ""',
        "BeamSequence[1] SQ empty item",
    ]


def test_an_item_of_which_everything_is_left_out_is_empty(path):
    stamped = ((Element(0x00080012, "DA", "20260101"),),)
    assert form_of(path, Element(0x300A00B0, "SQ", stamped)) == ["BeamSequence[1] SQ empty item"]


def test_duplicates_are_all_kept_in_order(path):
    one, other = Element(0x00100020, "LO", "A"), Element(0x00100020, "LO", "B")
    assert form_of(path, one, other) == ['PatientID LO "A"', 'PatientID LO "B"']


def test_a_repeating_group_goes_by_its_tag(path):
    assert form_of(path, Element(0x60020010, "US", b"\2\0")) == ["(6002,0010) US 2"]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize(("signed", "said"), [(b"\0\0", "US 65535"), (b"\1\0", "SS -1")])
def test_us_or_ss_goes_by_the_pixels_whatever_is_declared(path, syntax, signed, said):
    for declared in ("US", "SS"):
        lines = form_of(
            path, Element(0x00280103, "US", signed), Element(0x00280106, declared, b"\xff\xff"), syntax=syntax
        )
        assert lines[1] == f"SmallestImagePixelValue {said}"


def test_a_number_of_another_kind_than_the_dictionary_says_is_read_as_declared(path):
    assert form_of(path, Element(0x300A011E, "FD", struct.pack("<d", 90.5))) == ["GantryAngle FD 90.5"]


def test_numbers_that_are_none_stay_as_they_are_among_others(path):
    assert form_of(path, Element(0x30060050, "DS", "1.50\\abc\\ 2")) == ['ContourData DS 1.5\\"abc"\\2']


def test_long_lists_are_hashed_in_their_one_spelling(path):
    said = {
        form_of(path, Element(0x30060050, "DS", "\\".join([number] * 3000)))[0]
        for number in ("1.50", "1.5", "+1.5", "15e-1", "01.500")
    }
    spelled = "\\".join(["1.5"] * 3000).encode()
    assert said == {f"ContourData DS {len(spelled)} bytes sha256:{hashlib.sha256(spelled).hexdigest()}"}


def test_a_character_set_that_nobody_knows_is_said(path):
    data = write((), Style()).replace(b"ISO_IR 192", b"ISO_IR 999")
    assert form(path, data) == ['SpecificCharacterSet CS "ISO_IR 999"']


def test_unreadable_bytes_stay_visible(path):
    name = Element(0x00100010, "PN", b"M\xfcller\xe2\x80\xaeX ")
    assert form_of(path, name) == ['PatientName PN "M\\xfcller\\u{202e}X"']


# what is not DICOM, or not whole


@pytest.mark.parametrize("data", [b"", b"abc", b"%PDF-1.7\n" * 99, bytes(5000), bytes(128) + b"DICM"])
def test_what_is_not_dicom_is_said_whole(path, data):
    assert form(path, data) == [f"(opaque) UN {len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}"]


def test_bytes_that_are_no_element_are_said_where_they_are(path):
    rest = b"\x10\0\x20\0LO\xff\xff12345"
    whole = write((Element(0x00080060, "CS", "RTPLAN"),), Style())
    digest = hashlib.sha256(rest).hexdigest()
    assert form(path, whole + rest) == [
        'Modality CS "RTPLAN"',
        f"(unparsed) UN {len(rest)} bytes sha256:{digest}",
    ]


@pytest.mark.parametrize("undefined", [False, True])
def test_nesting_without_end_is_cut_and_said(path, undefined):
    element = Element(0x00100020, "LO", "deep")
    for _ in range(60):
        element = Element(0x300A00B0, "SQ", ((element,),))
    lines = form_of(path, element, undefined=undefined)
    assert len(lines) == 1
    assert lines[0].endswith("(nested too deeply)")
    assert lines[0].count("BeamSequence") in {32, 33}


def test_a_cut_inside_a_sequence_leaves_what_is_before_it(path):
    beams = Element(0x300A00B0, "SQ", tuple(beam(str(number)) for number in range(1, 6)))
    whole = write((Element(0x00080060, "CS", "RTPLAN"), beams), Style(undefined=True))
    lines = form(path, whole[:-30])
    assert lines[0] == 'Modality CS "RTPLAN"'
    assert "BeamSequence[1].BeamNumber IS 1" in lines


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.3"]), st.booleans())
@QUICK
def test_any_bytes_have_a_form(tmp_path, data, syntax, part10):
    path = tmp_path / "object.dcm"
    whole = file_head("1.2", "1.2.3", syntax) + data if part10 else data
    lines = form(path, whole)
    assert lines == form(path)
    assert all(line.vr and line.path for line in parse(line.encode() for line in lines))


@given(st.sampled_from(FILES), st.data())
@QUICK
def test_any_damage_to_an_object_shows(tmp_path, file, data):
    path = tmp_path / "object.dcm"
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(132, len(whole) - 1))
        whole[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    lines = form(path, bytes(whole))
    assert all(line.vr and line.path for line in parse(line.encode() for line in lines))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_byte_of_a_real_object_is_accounted_for(file, path):
    lines = form(file)
    assert not [line for line in lines if "(unparsed)" in line or "(opaque)" in line]
    assert len(lines) == len(list(parse(line.encode() for line in lines)))


# the same content in other bytes

LETTERS = st.text(st.sampled_from("abcXYZ 0189._-^äöüßé"), max_size=12).map(str.strip)
NUMBERS = st.lists(st.decimals(-1000, 1000, places=3).map(str), min_size=1, max_size=40).map("\\".join)
WORDS = st.integers(0, 4)


def _of(vr: str, tags: list[int], values: st.SearchStrategy) -> st.SearchStrategy[Element]:
    return st.builds(Element, st.sampled_from(tags), st.just(vr), values)


def _packed(code: str, low: int, high: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.integers(low, high), max_size=4).map(lambda n: struct.pack(f"<{len(n)}{code}", *n))


PUBLIC = st.one_of(
    _of("LO", [0x00081030, 0x300A00C2], LETTERS),
    _of("SH", [0x300A0002, 0x00081010], LETTERS),
    _of("PN", [0x00100010, 0x00081070], LETTERS),
    _of("LT", [0x00104000], LETTERS),
    _of("UT", [0x0040A160], LETTERS),
    _of("CS", [0x300E0002, 0x00180015], st.sampled_from(["APPROVED", "A\\B", ""])),
    _of("DS", [0x300A011E, 0x30060050, 0x300A012C], NUMBERS),
    _of("IS", [0x300A0078, 0x00200013], st.integers(-(10**9), 10**9).map(str)),
    _of("UI", [0x00080018, 0x00200052], st.from_regex(r"[12](\.[1-9][0-9]{0,5}){1,6}", fullmatch=True)),
    _of("US", [0x00280010, 0x00280011], _packed("H", 0, 65535)),
    _of("SS", [0x00189219], _packed("h", -32768, 32767)),
    _of("UL", [0x00041200], _packed("I", 0, 2**32 - 1)),
    _of("SL", [0x00186020], _packed("i", -(2**31), 2**31 - 1)),
    _of(
        "FL",
        [0x0018605A],
        st.binary(max_size=3).map(lambda b: struct.pack("<f", len(b) * 0.3)),
    ),
    _of("FD", [0x00189089, 0x00189098], st.floats().map(lambda f: struct.pack("<d", f))),
    _of("AT", [0x00280009], _packed("H", 0, 65535).map(lambda b: b[: len(b) // 4 * 4])),
    _of("OB", [0x00420011], st.binary(max_size=150)),
    _of("OW", [0x00281201], st.binary(max_size=75).map(lambda b: b + b)),
)
BINARY = st.binary(max_size=90).map(b"\0\1".__add__)
PRIVATE = st.one_of(
    st.builds(
        Element, st.sampled_from([0x00291001, 0x00291002]), st.just("LO"), st.text("abc 12", max_size=9)
    ),
    st.builds(Element, st.just(0x00291003), st.just("UN"), BINARY),
    st.builds(Element, st.just(0x00291004), st.just("OB"), BINARY),
    st.builds(Element, st.just(0x00291005), st.just("US"), _packed("H", 0, 65535)),
)


def _unique(elements: list[Element]) -> tuple[Element, ...]:
    return tuple({element.tag: element for element in elements}.values())


def _with_creator(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    if any(element.tag >> 16 == 0x0029 for element in elements):
        return (*elements, Element(0x00290010, "LO", "ACME"))
    return elements


def _nest(inner: st.SearchStrategy[tuple[Element, ...]]) -> st.SearchStrategy[tuple[Element, ...]]:
    items = st.lists(inner, max_size=3).map(tuple)
    sequence = st.builds(
        Element, st.sampled_from([0x300A00B0, 0x300A0111, 0x30060020, 0x00291006]), st.just("SQ"), items
    )
    return st.lists(st.one_of(PUBLIC, PRIVATE, sequence), max_size=8).map(_unique).map(_with_creator)


DATASETS = st.recursive(
    st.lists(st.one_of(PUBLIC, PRIVATE), max_size=6).map(_unique).map(_with_creator), _nest, max_leaves=6
).filter(bool)

STYLES = st.builds(
    Style,
    syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]),
    undefined=st.booleans(),
    group_lengths=st.booleans(),
    charset=st.sampled_from(["ISO_IR 100", "ISO_IR 192", "GB18030"]),
    block=st.sampled_from([0x10, 0x11, 0xE0]),
)


@given(DATASETS, STYLES)
@QUICK
def test_the_form_is_the_same_however_it_is_encoded(tmp_path, dataset, style):
    path = tmp_path / "object.dcm"
    assert form(path, write(dataset, style)) == form(path, write(dataset, Style()))


def _changed(element: Element) -> Element:
    """The element with another value."""
    value = element.value
    if isinstance(value, str):
        other = {"DS": "4711.5", "IS": "4711", "UI": "2.25.4711", "CS": "OTHER"}.get(element.vr, "other")
        return Element(element.tag, element.vr, other)
    if isinstance(value, bytes):
        width = {"UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4}.get(element.vr, 2)
        return Element(
            element.tag, element.vr, b"\x7b" * width if value != b"\x7b" * width else b"\x7a" * width
        )
    return Element(element.tag, element.vr, (*value, (Element(0x00100040, "CS", "O"),)))


@given(DATASETS, st.data())
@QUICK
def test_another_value_changes_its_line_and_no_other(tmp_path, dataset, data):
    path = tmp_path / "object.dcm"
    plain = [element for element in dataset if element.vr != "SQ" and element.tag & 0xFFFF != 0x10]
    if not plain:
        return
    element = data.draw(st.sampled_from(plain))
    other = tuple(_changed(one) if one is element else one for one in dataset)
    before, after = form(path, write(dataset, Style())), form(path, write(other, Style()))
    assert len(before) == len(after)
    assert sum(was != now for was, now in zip(before, after, strict=True)) == 1


@given(DATASETS)
@QUICK
def test_an_element_more_is_a_line_more(tmp_path, dataset):
    path = tmp_path / "object.dcm"
    before = form(path, write(dataset, Style()))
    after = form(path, write((*dataset, Element(0x00100030, "DA", "20200202")), Style()))
    assert [line for line in after if not line.startswith("PatientBirthDate ")] == before
    assert len(after) == len(before) + 1


def test_memory_stays_flat_on_a_huge_object(tmp_path):
    """A sparse file of 256 MiB: its bytes are read in pieces."""
    path, size = tmp_path / "huge.dcm", 1 << 28
    head = file_head("1.2.840.10008.5.1.4.1.1.481.2", "1.2.3", EXPLICIT)
    path.write_bytes(head + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size))
    os.truncate(path, path.stat().st_size + size)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the tests before this one
    before = peak_memory()
    with (tmp_path / "form").open("wb") as out:
        normal_form(path, out)
    assert peak_memory() - before < 32 << 10


def peak_memory() -> int:
    """KiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def explicit(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element in explicit VR little endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + struct.pack("<HI" if vr == b"SQ" else "<H", *([0] * (vr == b"SQ")), len(value)) + value


def items(*bodies: bytes) -> bytes:
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body for body in bodies)


def deep(size: int) -> bytes:
    """A few elements below 30 private sequences, each named by a creator that takes many times its bytes to write."""
    creator = explicit(0x3F010010, b"LO", b"\1" * size)
    data = creator + explicit(0x3F011000, b"SQ", items(*[explicit(0x00080050, b"SH", b"")] * 20_000))
    for _ in range(30):
        data = creator + explicit(0x3F011000, b"SQ", items(data))
    return data


def wide() -> bytes:
    """Many empty elements of one creator."""
    creator = explicit(0x00090010, b"LO", b"\1" * 1024)
    block = b"".join(explicit(0x00091000 | low, b"SH", b"") for low in range(256))
    return creator + block * 200


BOMBS = {"deep": lambda: deep(64), "deeper": lambda: deep(1024), "wide": wide}
MEASURE = """
import sys
from pathlib import Path
from vault.normal.dicom import normal_form
class Counting:
    def __init__(self, file): self.file, self.most = file, 0
    def __getattr__(self, name): return getattr(self.file, name)
    def write(self, data):
        self.file.write(data)
        self.most = max(self.most, self.file.tell())
with open(sys.argv[2], "xb") as file:
    out = Counting(file)
    normal_form(Path(sys.argv[1]), out)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(out.most, peak.split()[1])  # unlike ru_maxrss, not the peak of the process that forked this one
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_object_made_to_have_a_huge_form_is_opaque(tmp_path, bomb):
    path = tmp_path / "object.dcm"
    data = BOMBS[bomb]()
    path.write_bytes(file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", EXPLICIT) + data)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, tmp_path / "form"], capture_output=True, text=True, check=True
    )
    took = time.monotonic() - started
    written, memory = map(int, done.stdout.split())
    size = path.stat().st_size
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = f"(opaque) UN {size} bytes sha256:{digest} (its normal form would be too long)"
    assert (tmp_path / "form").read_text() == f"normal-form 1\n{expected}\n"
    assert form(path) == [expected]
    assert written <= (16 << 20) + 4 * len(data) + 100
    assert memory < 256 << 10  # KiB
    assert took < 5


def test_the_form_of_a_large_object_may_be_large(path):
    element, count = explicit(0x00081030, b"LO", b"x" * 16_000), 1100
    assert len(element) * count > 16 << 20
    assert (
        len(form(path, file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", EXPLICIT) + element * count))
        == count
    )


@pytest.mark.parametrize("spare", [0, -1])
def test_the_budget_is_exact(spare):
    out = io.BytesIO()
    lines = [("ControlPointIndex", "DS", "1" * length) for length in (10, 60, 5000, 3)]
    whole = sum(len(f"{path} {vr} {value}\n") for path, vr, value in lines)
    output = Output(out, whole + spare)
    for path, vr, value in lines:
        output.line(path, vr, value)
    if spare < 0:
        with pytest.raises(TooLongError):
            output.flush()
    else:
        output.flush()
        assert len(out.getvalue()) == whole
