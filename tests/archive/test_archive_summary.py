"""`patient.json`: planned and delivered, partial fractions marked, dose to date by what was delivered."""

import json

import pytest

from vault.archive import summary
from vault.archive.summary_rows import with_rows
from vault.model import Row
from vault.normal import rows
from vault.normal.lines import parse

PLAN = """normal-form 1
RTPlanLabel SH "PROST"
FractionGroupSequence[1].NumberOfFractionsPlanned IS 20
FractionGroupSequence[1].ReferencedBeamSequence[1].BeamDose DS 1.2
FractionGroupSequence[1].ReferencedBeamSequence[1].BeamMeterset DS 100
FractionGroupSequence[1].ReferencedBeamSequence[2].BeamDose DS 0.8
FractionGroupSequence[1].ReferencedBeamSequence[2].BeamMeterset DS 50.5
"""


def lines(text):
    return parse(text.encode().splitlines())


def session(fraction, *delivered, ended="NORMAL", ion=""):
    beams = "".join(
        f"TreatmentSession{ion}BeamSequence[{n}].CurrentFractionNumber IS {fraction}\n"
        f"TreatmentSession{ion}BeamSequence[{n}].DeliveredPrimaryMeterset DS {mu}\n"
        f'TreatmentSession{ion}BeamSequence[{n}].TreatmentTerminationStatus CS "{ended}"\n'
        for n, mu in enumerate(delivered, 1)
    )
    date = f'TreatmentDate DA "202611{fraction:02}"\nReferencedRTPlanSequence[1].ReferencedSOPInstanceUID UI 1.2.3\n'
    return summary.record_entry(lines(date + beams))


def composed(*sessions, plan=PLAN):
    plans = {"1.2.3": summary.plan_entry(lines(plan))}
    data = summary.compose({}, plans, {str(n): each for n, each in enumerate(sessions)})
    return json.loads(data)["plans"]["1.2.3"]


def test_a_plan_has_the_dose_and_the_mu_of_a_fraction():
    assert summary.plan_entry(lines(PLAN)) == {
        "label": "PROST",
        "fractions_planned": 20,
        "dose_per_fraction_gy": 2.0,
        "mu_per_fraction": 150.5,
    }


def test_whole_fractions_give_the_dose_to_date():
    told = composed(session(1, 100, 50.5), session(2, 100.2, 50.4))
    assert (told["fractions_delivered"], told["fractions_partial"], told["dose_to_date_gy"]) == (2, [], 4.0)


def test_a_partial_fraction_is_marked_and_counts_by_its_mu():
    told = composed(session(1, 100, 50.5), session(2, 75.25, ended="MACHINE"))
    assert (told["fractions_delivered"], told["fractions_partial"], told["dose_to_date_gy"]) == (2, [2], 3.0)


def test_a_fraction_with_a_field_missing_is_partial_although_what_was_treated_ended_normally():
    assert composed(session(1, 100))["fractions_partial"] == [1]


def test_a_fraction_finished_in_a_second_session_is_whole():
    told = composed(session(1, 60, ended="OPERATOR"), session(1, 40, 50.5))
    assert (told["fractions_delivered"], told["fractions_partial"], told["dose_to_date_gy"]) == (1, [], 2.0)


def test_without_mu_the_ending_decides_and_a_partial_fraction_counts_no_dose():
    without = "\n".join(line for line in PLAN.splitlines() if "BeamMeterset" not in line)
    told = composed(session(1, 1), session(2, 1, ended="OPERATOR"), plan=without)
    assert (told["fractions_partial"], told["dose_to_date_gy"]) == ([2], 2.0)


def test_ions_are_counted_like_photons():
    assert composed(session(1, 100, 50.5, ion="Ion"))["dose_to_date_gy"] == 2.0


@pytest.mark.parametrize("value", ["nan", "inf", '"x"', ""])
def test_what_is_no_number_counts_nothing(value):
    assert "dose_per_fraction_gy" not in summary.plan_entry(
        lines(f"FractionGroupSequence[1].ReferencedBeamSequence[1].BeamDose DS {value}\n")
    )


def test_counts_follow_the_records_that_are_there():
    plans = {"1.2.3": summary.plan_entry(lines(PLAN))}
    data = summary.compose({}, plans, {"1": session(1, 100, 50.5)})
    again, records = summary.parse(data)
    assert summary.compose({}, again, records) == data
    assert "dose_to_date_gy" in json.loads(data)["plans"]["1.2.3"]
    assert json.loads(summary.compose({}, again, {}))["plans"]["1.2.3"]["fractions_delivered"] == 0


def test_several_fraction_groups_have_no_dose_per_fraction():
    two = PLAN + "FractionGroupSequence[2].NumberOfFractionsPlanned IS 5\n"
    assert "dose_per_fraction_gy" not in summary.plan_entry(lines(two))
    assert summary.plan_entry(lines(two))["fractions_planned"] == 25


def test_what_the_database_says_can_be_taken_back():
    data = summary.compose({"name": "Test"}, {}, {})
    form = rows.normal_form(
        "prescriptions", [Row("prescriptions", {"prescription_key": "1", "total_dose_gy": "1.5"})]
    )
    told = with_rows(data, {"prescriptions": form})
    assert json.loads(told)["rois"]["prescriptions"] == [{"prescription_key": "1", "total_dose_gy": 1.5}]
    assert with_rows(told, {"prescriptions": form}) == told
    assert with_rows(told, {}) == data


def test_appointments_that_were_cancelled_are_not_next():
    schedule = [
        Row("schedule", {"starts": "2026-11-26T08:00:00", "status": "Cancelled"}),
        Row("schedule", {"starts": "2026-11-27T08:00:00", "status": "Open"}),
    ]
    told = with_rows(summary.compose({}, {}, {}), {"schedule": rows.normal_form("schedule", schedule)})
    assert json.loads(told)["rois"]["next_treatment"] == "2026-11-27T08:00:00"
