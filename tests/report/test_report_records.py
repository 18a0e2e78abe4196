"""Treatment records as history rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from vault.department.beams import original
from vault.department.modules import part10
from vault.department.patients import Scale, roster
from vault.department.record import record_object
from vault.model import Row
from vault.normal.dicom import normal_form
from vault.normal.lines import Line, parse
from vault.normal.volatile import SHIPPED
from vault.report.records import rows_of_record
from vault.rois.sql.contract import CONTRACT

PATIENT = roster(1, date(2026, 11, 25), scale=Scale(matrix=8, slices=2, control_points=3))[0]


def rows(folder: Path, **changes: str) -> list[Row]:
    record = record_object(original(PATIENT), 3)
    for keyword, value in changes.items():
        setattr(record.TreatmentSessionBeamSequence[-1], keyword, value)
    (folder / "record.dcm").write_bytes(part10(record))
    with (folder / "record.txt").open("wb") as out:
        normal_form(folder / "record.dcm", out, SHIPPED)
    with (folder / "record.txt").open("rb") as lines:
        return rows_of_record(parse(lines))


def test_each_beam_is_a_row_in_the_contracts_columns(tmp_path: Path) -> None:
    plan = original(PATIENT)
    found = rows(tmp_path)
    assert [row.fields["field"] for row in found] == [beam.name for beam in plan.beams]
    assert {row.fields["plan_uid"] for row in found} == {plan.uid}
    assert {row.fields["fraction"] for row in found} == {"3"}
    assert {row.fields["record_uid"] for row in found} == {PATIENT.uid("record", 3)}
    assert [float(row.fields["delivered_mu"] or 0) for row in found] == [beam.meterset for beam in plan.beams]
    assert (found[0].fields["started"] or "").startswith("2026-11-2")
    columns = {column.name for column in CONTRACT["history"].columns}
    assert set(found[0].fields) <= columns


def test_what_was_cut_short_or_overridden_is_in_its_beams_row(tmp_path: Path) -> None:
    found = rows(tmp_path, DeliveredPrimaryMeterset="12.5", TreatmentTerminationStatus="MACHINE")
    assert (found[-1].fields["delivered_mu"], found[-1].fields["termination"]) == ("12.5", "MACHINE")
    assert found[0].fields["termination"] == "NORMAL"
    lines = [
        Line("TreatmentSessionBeamSequence[2].BeamName", "LO", '"A"'),
        Line(
            "TreatmentSessionBeamSequence[2].ControlPointDeliverySequence[0].OverrideSequence.OverrideReason",
            "ST",
            '"couch"',
        ),
        Line("TreatmentSessionBeamSequence[1].BeamName", "LO", '"B"'),
    ]
    assert [(row.fields["field"], row.fields["override"]) for row in rows_of_record(lines)] == [
        ("B", "no"),
        ("A", "yes"),
    ]


def test_anything_else_has_no_rows() -> None:
    assert rows_of_record([]) == []
    assert rows_of_record([Line("RTPlanLabel", "SH", '"P"'), Line("(opaque)", "UN", "3 bytes")]) == []
