"""What is left out: a table with reasons, which a site extends."""

import hashlib
import tomllib
from importlib import resources

import pytest
from dicom_kit import Element, form, write
from dicom_kit import Style as As

from vault.dicom import dictionary
from vault.errors import ConfigError
from vault.normal.identity import identity_tags
from vault.normal.volatile import SHIPPED, extended

CREATED = (Element(0x00080012, "DA", "20260101"), Element(0x00080054, "AE", "ROIS"))


def test_every_entry_has_a_reason():
    table = tomllib.loads(resources.files("vault.normal").joinpath("volatile.toml").read_text("utf-8"))
    assert all(len(reason) > 20 for section in table.values() for reason in section.values())


def test_what_the_table_names_is_left_out_at_any_depth(tmp_path):
    nested = Element(0x300A00B0, "SQ", ((Element(0x300A00C0, "IS", "1"), *CREATED),))
    lines = form(tmp_path / "object.dcm", write((*CREATED, nested), As(group_lengths=True)))
    assert lines == ["BeamSequence[1].BeamNumber IS 1"]


@pytest.mark.parametrize(
    "element",
    [
        Element(0x00081010, "SH", "TPS01"),
        Element(0x00181020, "LO", "1.0"),
        Element(0x00080080, "LO", "X"),
        Element(0x00080201, "SH", "+0100"),
        Element(0x3006002A, "IS", "1\\2\\3"),
    ],
)
def test_what_could_be_clinical_is_not(tmp_path, element):
    assert len(form(tmp_path / "object.dcm", write((element,), As()))) == 1


@pytest.mark.parametrize("name", ["StationName", "(0008,1010)"])
def test_a_site_adds_attributes(tmp_path, name):
    table = extended([(name, "every retrieval has another")])
    assert _lines(tmp_path, table, Element(0x00081010, "SH", "A"), Element(0x00080060, "CS", "CT")) == [
        'Modality CS "CT"'
    ]


def test_a_site_adds_private_attributes(tmp_path):
    table = extended([("{ACME}(0029,xx01)", "a counter")])
    creator, counter = Element(0x00290010, "LO", "ACME"), Element(0x00291001, "LO", "17")
    assert _lines(tmp_path, table, creator, counter) == ['{ACME}(0029,00xx) LO "ACME"']


def _lines(tmp_path, table, *elements):
    import io

    from vault.normal.dicom import normal_form

    path, out = tmp_path / "object.dcm", io.BytesIO()
    path.write_bytes(write(elements, As()))
    normal_form(path, out, table)
    return out.getvalue().decode().splitlines()[1:]


def test_the_label_says_what_was_added():
    assert SHIPPED.label == "1"
    assert extended([]) is SHIPPED
    digest = hashlib.sha256(b"PatientID\nStationName").hexdigest()[:8]
    assert extended([("StationName", "a"), ("PatientID", "b")]).label == f"1+{digest}"
    assert extended([("PatientID", "other"), ("StationName", "c")]).label == f"1+{digest}"


@pytest.mark.parametrize("name", ["NoSuchKeyword", "(0008,10)", "{ACME}(0029,1001)", ""])
def test_what_names_no_attribute_is_refused(name):
    with pytest.raises(ConfigError, match="names no attribute"):
        extended([(name, "x")])


def test_identities_are_sequences_and_attributes_of_the_dictionary():
    for sequence, attribute in identity_tags().items():
        assert dictionary.element(sequence).vr == "SQ"
        assert dictionary.element(attribute).vr != "SQ"
