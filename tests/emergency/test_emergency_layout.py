from __future__ import annotations

import io

from treatments import SOP_CLASSES

from vault.emergency.attributes import LONGEST_LINE, read_attributes
from vault.emergency.layout import Source, arrange, patient_folder


def source(modality: str, uid: str = "1.2.9", series: str = "1.2", **attributes: str) -> Source:
    found = {"SOPClassUID": SOP_CLASSES[modality], "SOPInstanceUID": uid, "Modality": modality, **attributes}
    return Source(f"dicom/{modality}/{series}/{uid}.dcm", found)


def test_folders_are_numbered_in_the_order_of_import() -> None:
    kinds = ["CT", "REG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTIMAGE", "RTRECORD"]
    places = arrange([source(modality, f"1.{number}") for number, modality in enumerate(kinds)])
    assert [place[0] for place in places.values()] == list("1234567")


def test_images_are_numbered_by_instance_number() -> None:
    images = [
        source("CT", f"1.{9 - n}", InstanceNumber=str(n), SeriesDescription="Planning CT") for n in (10, 2, 1)
    ]
    places = arrange(images)
    assert [places[image.path] for image in images] == [
        "1 images/CT Planning CT (3 images)/0003.dcm",
        "1 images/CT Planning CT (3 images)/0002.dcm",
        "1 images/CT Planning CT (3 images)/0001.dcm",
    ]


def test_two_series_of_one_description_are_two_folders() -> None:
    places = arrange(
        [
            source("CT", "1.1", "1.2", SeriesDescription="CT"),
            source("CT", "1.2", "1.3", SeriesDescription="ct"),
        ]
    )
    folders = {place.split("/")[1].casefold() for place in places.values()}
    assert len(folders) == 2


def test_records_sort_by_time_and_say_what_was_treated() -> None:
    plan = source("RTPLAN", "1.5", RTPlanLabel="PROSTATE_1A")
    record = source(
        "RTRECORD",
        "1.7",
        TreatmentDate="20261120",
        TreatmentTime="143200",
        fraction="3",
        plan="1.5",
        beams="ARC1+ARC2",
    )
    places = arrange([plan, record])
    assert places[record.path] == "7 treatment records/2026-11-20 1432 fraction 03 PROSTATE_1A ARC1+ARC2.dcm"


def test_an_object_without_attributes_goes_by_its_place_in_the_tree() -> None:
    places = arrange([Source("dicom/RTPLAN/1.2/1.2.3.dcm", {}), Source("dicom/WEIRD/1.2/1.2.4.dcm", {})])
    assert list(places.values()) == ["4 plans/1.2.3.dcm", "9 other objects/1.2.4.dcm"]


def test_hostile_attributes_stay_in_their_folder_and_short() -> None:
    evil = "../../" * 50 + "\u202e" + "ü" * 300
    sources = [
        source("RTPLAN", f"1.{n}", RTPlanLabel=evil, ApprovalStatus=evil, RTPlanDate=evil) for n in range(3)
    ]
    sources += [source("CT", "1.9", SeriesDescription=evil, InstanceNumber="9" * 5000)]
    sources += [Source(f"documents/{'x' * 90}/{'y' * 110}.pdf", {})]
    root = patient_folder("1" * 64, evil)
    for place in arrange(sources).values():
        assert len(f"{root}/{place}") < 240
        assert ".." not in place.split("/")
        assert place.count("/") <= 2
    assert "/" not in root


def test_attributes_are_read_from_a_normal_form() -> None:
    form = io.BytesIO(
        b"normal-form 1\n"
        b"SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.4 RT Beams Treatment Record Storage\n"
        b'PatientName PN "M\xc3\xbcller^Anna"\n'
        b'Unwanted LO "x"\n'
        b"TreatmentSessionBeamSequence[1].CurrentFractionNumber IS 3\n"
        b"TreatmentSessionBeamSequence[2].CurrentFractionNumber IS 3\n"
        b'TreatmentSessionBeamSequence[1].BeamName LO "ARC1"\n'
        b'TreatmentSessionBeamSequence[2].BeamName LO "ARC2"\n'
        b"ReferencedRTPlanSequence[1].ReferencedSOPInstanceUID UI 1.2.3\n"
    )
    assert read_attributes(form) == {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.4",
        "PatientName": "Müller^Anna",
        "fraction": "3",
        "beams": "ARC1+ARC2",
        "plan": "1.2.3",
    }


def test_long_lines_are_passed_over() -> None:
    long = b"ContourData DS " + b"1\\" * LONGEST_LINE
    form = b"normal-form 1\n" + (long + b"\n") * 900 + b'RTPlanLabel SH "A"\n'
    assert len(form) > 3 << 20
    assert read_attributes(io.BytesIO(form)) == {"RTPlanLabel": "A"}
