from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from history_kit import History

from vault.compare import diff
from vault.compare.diff import compare
from vault.compare.document import document
from vault.normal.volatile import SHIPPED, extended

PLAN = "dicom/RTPLAN/1.2/1.2.1"
CT = "dicom/CT/1.9/1.9.1"


def form(label: str, *more: str) -> bytes:
    return "\n".join(["normal-form 1", *more, f'RTPlanLabel SH "{label}"', ""]).encode()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "root")


def test_the_first_commit_is_all_added(history: History) -> None:
    commit = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A"), "patient.json": b'{"plans": 1}'})
    (change,) = compare(history.repository, None, commit, SHIPPED)
    assert (change.path, change.kind, change.modality, change.title) == (
        f"{PLAN}.dcm",
        "added",
        "RTPLAN",
        "A",
    )
    assert change.attributes == ()


def test_one_attribute_is_one_change(history: History) -> None:
    old = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A"), "patient.json": b'{"plans": 1}'})
    new = history.night({f"{PLAN}.dcm": b"2", f"{PLAN}.txt": form("B"), "patient.json": b'{"plans": 2}'})
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert (change.path, change.kind, change.title) == (f"{PLAN}.dcm", "changed", "B")
    (attribute,) = change.attributes
    assert (attribute.keyword, attribute.old, attribute.new) == ("RTPlanLabel", '"A"', '"B"')
    assert compare(history.repository, new, new, SHIPPED) == []


def test_removed_objects_keep_their_title(history: History) -> None:
    old = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A"), "patient.json": b"{}"})
    new = history.night({f"{PLAN}.dcm": None, f"{PLAN}.txt": None})
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert (change.kind, change.title) == ("removed", "A")


def test_plans_come_before_images_and_what_is_no_object_comes_last(history: History) -> None:
    commit = history.night(
        {
            f"{CT}.dcm": b"1",
            f"{CT}.txt": form("x"),
            f"{PLAN}.dcm": b"1",
            f"{PLAN}.txt": form("A"),
            "documents/7/plan.pdf": b"%PDF",
        }
    )
    changes = compare(history.repository, None, commit, SHIPPED)
    assert [change.modality for change in changes] == ["RTPLAN", "CT", ""]
    assert changes[-1].path == "documents/7/plan.pdf"


def test_a_summary_that_changes_alone_is_told(history: History) -> None:
    old = history.night({"patient.json": b'{"plans": {"1.2": {"label": "A"}}}'})
    new = history.night({"patient.json": b'{"plans": {"1.2": {"label": "B"}}}'})
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert (change.path, change.modality) == ("patient.json", "")
    assert [attribute.path for attribute in change.attributes] == ["plans[1.2].label"]


def test_what_patient_json_says_on_its_own_is_told_beside_objects(history: History) -> None:
    old = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A"), "patient.json": b'{"phone": 1}'})
    new = history.night({f"{PLAN}.dcm": b"2", f"{PLAN}.txt": form("B"), "patient.json": b'{"phone": 2}'})
    assert [change.path for change in compare(history.repository, old, new, SHIPPED)] == [
        f"{PLAN}.dcm",
        "patient.json",
    ]


@pytest.mark.parametrize("half", [".dcm", ".txt"])
def test_half_a_pair_that_differs_is_never_silent(history: History, half: str) -> None:
    old = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A")})
    new = history.night({f"{PLAN}{half}": form("B")})
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert change.attributes


def test_other_files_that_change_are_told_by_their_ids(history: History) -> None:
    old = history.night({"documents/7/plan.pdf": b"1"})
    new = history.night({"documents/7/plan.pdf": b"2"})
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert [(a.path, a.old != a.new) for a in change.attributes] == [("(bytes)", True)]


def test_forms_too_large_to_compare_are_said_to_differ(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A")})
    new = history.night({f"{PLAN}.dcm": b"2", f"{PLAN}.txt": form("B")})
    monkeypatch.setattr(diff, "LARGEST_FORM", 5)
    (change,) = compare(history.repository, old, new, SHIPPED)
    assert change.attributes[0].path == "(bytes)"


class Contract(msgspec.Struct, forbid_unknown_fields=True):
    """`vault diff --json`, as tools outside this repository rely on it."""

    class Change(msgspec.Struct, forbid_unknown_fields=True):
        class Attribute(msgspec.Struct, forbid_unknown_fields=True):
            path: str
            keyword: str
            tag: str
            vr: str
            old: str | None
            new: str | None

        class Finding(msgspec.Struct, forbid_unknown_fields=True):
            severity: str
            text: str

        path: str
        kind: str
        modality: str
        title: str
        severity: str | None
        attributes: list[Attribute]
        findings: list[Finding]

    patient: str
    old: str | None
    new: str
    changes: list[Change]


def test_the_document_keeps_its_contract(history: History) -> None:
    first = history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A")})
    second = history.night(
        {f"{PLAN}.dcm": b"2", f"{PLAN}.txt": form("B"), f"{CT}.dcm": b"1", f"{CT}.txt": form("x")}
    )
    for old, new in ((None, first), (first, second)):
        changes = compare(history.repository, old, new, SHIPPED)
        text = json.dumps(document("4711", old, new, changes))
        said = msgspec.json.decode(text, type=Contract)
        assert (said.patient, said.old, said.new, len(said.changes)) == ("4711", old, new, len(changes))
        assert {change.kind for change in said.changes} <= {"added", "removed", "changed", "revised"}


def dicom(label: str, operators: str) -> bytes:
    """A tiny plan as a Part 10 file."""
    import io

    import pydicom

    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.5"
    dataset.SOPInstanceUID = "1.2.1"
    dataset.OperatorsName = operators
    dataset.RTPlanLabel = label
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


OPERATORS = extended([("OperatorsName", "written anew by each export")])


@pytest.mark.parametrize(
    ("labels", "table", "expected"),
    [
        (("1", SHIPPED.label), SHIPPED, ["OperatorsName", "RTPlanLabel"]),
        ((SHIPPED.label, SHIPPED.label), OPERATORS, ["RTPlanLabel"]),
        (("0", OPERATORS.label), OPERATORS, ["RTPlanLabel"]),
    ],
)
def test_across_versions_of_the_normal_form_both_sides_are_made_anew(
    history: History, labels: tuple[str, str], table: object, expected: list[str]
) -> None:
    older = "older than this test" if labels[0] != labels[1] or table is OPERATORS else ""
    files = {f"{PLAN}.dcm": dicom("A", "X"), f"{PLAN}.txt": form("A", older), f"{CT}.dcm": dicom("C", "X")}
    old = history.night(
        {**files, f"{CT}.txt": form("old form")}, label="0" if labels[0] == "1" else labels[0]
    )
    new = history.night(
        {f"{PLAN}.dcm": dicom("B", "Y"), f"{PLAN}.txt": form("B"), f"{CT}.txt": form("new form")},
        label=labels[1],
    )
    (change,) = compare(history.repository, old, new, table)  # type: ignore[arg-type]
    assert (change.title, [a.keyword for a in change.attributes]) == ("B", expected)


def test_what_the_table_now_leaves_out_is_no_change(history: History) -> None:
    old = history.night({f"{PLAN}.dcm": dicom("A", "X"), f"{PLAN}.txt": form("A", "x")})
    new = history.night({f"{PLAN}.dcm": dicom("A", "Y"), f"{PLAN}.txt": form("A", "y")})
    assert compare(history.repository, old, new, OPERATORS) == []
