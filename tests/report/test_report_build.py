"""From rows to the model: fractions counted, partial ones marked, dose to date, whatever the rows hold."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from day_rows import DAY, course, demographics, history, plans, schedule
from hypothesis import given
from hypothesis import strategies as st

from vault.model import Row
from vault.report import words
from vault.report.build import Sources, department_day, local_time, patient_day, readable_name
from vault.report.treatments import Appointment, Course, PatientDay, Person, Session
from vault.report.words import amount, delivery_remarks, dose_to_date

ZONE = ZoneInfo("Europe/Berlin")


def built(
    rows: dict[str, list[Row]], *, records: list[Row] | None = None, summary: dict[str, object] | None = None
) -> PatientDay:
    return patient_day(Sources("4711", rows, records or (), summary), DAY, ZONE)


def only(day: PatientDay) -> tuple[Course, Session]:
    ((plan, session),) = day.treated
    return plan, session


def test_a_whole_course_is_counted() -> None:
    plan, session = only(
        built({"history": course(upto=12), "plans": plans(), "demographics": demographics("A^B")})
    )
    assert (plan.plan, plan.course, session.fraction, plan.fractions_planned) == ("PROSTATE_1A", "C1", 12, 39)
    assert (plan.given, plan.partly_given, plan.unseen) == (12, 0, 0)
    assert plan.dose
    assert (plan.dose.gray, plan.dose.estimated, plan.dose_planned) == (Decimal(24), False, Decimal(78))
    assert [field.field for field in session.fields] == ["1-ARC", "2-ARC"]
    assert (session.planned_mu, session.delivered_mu) == (Decimal("737.5"), Decimal("737.5"))
    assert not any((session.partial, session.override, session.excess))


def test_a_partial_fraction_is_no_given_one_and_its_dose_is_an_estimate() -> None:
    rows = course(upto=3, delivered_mu="180.5", termination="OPERATOR", override="yes")
    plan, session = only(built({"history": rows, "plans": plans()}))
    assert session.partial
    assert session.override
    assert (plan.given, plan.partly_given) == (2, 1)
    assert plan.dose
    assert plan.dose.estimated
    assert plan.dose.gray == 4 + 2 * Decimal("557") / Decimal("737.5")


def test_a_field_in_two_parts_is_whole() -> None:
    rows = history(delivered_mu="161", termination="MACHINE")
    rest = {**rows[-1].fields, "history_key": "rest", "delivered_mu": "200", "termination": "NORMAL"}
    rest["started"] = "2026-11-25T08:20:00"
    _, session = only(built({"history": [*rows, Row("history", rest)]}))
    assert not session.partial
    assert session.delivered_mu == Decimal("737.5")
    assert [field.partial for field in session.fields] == [False, False]
    assert delivery_remarks(session.deliveries[-1], session.fields[-1]) == ["in parts"]


def test_a_field_that_ended_oddly_but_whole_is_not_partial() -> None:
    _, session = only(built({"history": history(termination="OPERATOR")}))
    assert not session.partial
    assert session.deliveries[-1].terminated
    assert delivery_remarks(session.deliveries[-1], session.fields[-1]) == []


def test_a_fraction_resumed_the_next_day_counts_once() -> None:
    yesterday = datetime(2026, 11, 24, 8, 10)
    cut = history(fraction=3, at=yesterday)[:1]
    rest = history(fraction=3)[1:]
    before = history(fraction=2, at=yesterday - timedelta(days=1))
    plan, session = only(built({"history": [*before, *cut, *rest], "plans": plans()}))
    assert not session.not_seen
    assert (plan.given, plan.partly_given) == (2, 0)


def test_a_field_that_the_fraction_before_had_is_missed() -> None:
    yesterday = history(fraction=11, at=datetime(2026, 11, 24, 8, 10))
    _, session = only(built({"history": [*yesterday, *history()[:1]], "plans": plans()}))
    assert [(item.field, item.planned_mu) for item in session.not_seen] == [("2-ARC", Decimal(361))]
    assert session.partial


def test_more_than_planned_is_remarked_on() -> None:
    twice = [Row("history", {**row.fields, "history_key": f"again {n}"}) for n, row in enumerate(history())]
    _, session = only(built({"history": [*history(), *twice]}))
    assert session.excess
    assert not session.partial


def test_a_fraction_given_whole_on_two_days_is_remarked_on() -> None:
    """Its dose counts twice and the fraction once: that must not stand there without a word."""
    before = history(fraction=12, at=datetime(2026, 11, 24, 8, 10))
    plan, session = only(built({"history": [*before, *history(fraction=12)], "plans": plans()}))
    assert plan.given == 1
    assert words.remarks(plan, session) == ["SAME FRACTION TWICE"]
    cut = history(fraction=12, at=datetime(2026, 11, 24, 8, 10))[:1]
    plan, session = only(built({"history": [*cut, *history(fraction=12)[1:]], "plans": plans()}))
    assert "SAME FRACTION TWICE" not in words.remarks(plan, session)


def test_what_the_database_says_of_dose_counts_most() -> None:
    rows = [Row("history", {**row.fields, "dose_gy": "0.9"}) for row in history(fraction=1)]
    plan, _ = only(built({"history": rows, "plans": plans()}))
    assert plan.dose
    assert plan.dose.gray == Decimal("1.8")


def test_without_a_database_records_and_patient_json_suffice() -> None:
    record = [
        Row("history", {**row.fields, "record_uid": "1.9", "plan": "", "plan_uid": "1.5"})
        for row in history(fraction=3)
    ]
    summary = {
        "patient": {"name": "Demo^Anna", "birth_date": "19510309"},
        "plans": {"1.5": {"label": "PLAN", "fractions_planned": 20}},
        "treatments": {
            "1.7": {"date": "20261123", "plan": "1.5", "fractions": [1], "termination": ["NORMAL"]},
            "1.8": {"date": "20261124", "plan": "1.5", "fractions": [2], "termination": ["MACHINE"]},
        },
    }
    day = built({}, records=record, summary=summary)
    plan, session = only(day)
    assert (day.person.name, day.person.birth_date) == ("Demo, Anna", "1951-03-09")
    assert (plan.plan, plan.fractions_planned) == ("PLAN", 20)
    assert (plan.given, plan.partly_given) == (2, 1)
    assert session.recorded


def test_a_record_of_what_the_database_has_is_not_counted_again() -> None:
    record = [Row("history", {**row.fields, "field": "other name", "record_uid": "1.9"}) for row in history()]
    _, session = only(built({"history": history()}, records=record))
    assert [field.field for field in session.fields] == ["1-ARC", "2-ARC"]
    assert session.recorded


def test_fractions_that_no_source_shows_are_said() -> None:
    plan, _ = only(built({"history": history(fraction=12), "plans": plans()}))
    assert plan.unseen == 11


def test_plans_not_begun_are_shown_and_retired_ones_are_not() -> None:
    rows = {"history": history(), "plans": plans() + plans("BOOST") + plans("OLD", status="Retired")}
    assert [plan.plan for plan in built(rows).courses] == ["PROSTATE_1A", "BOOST"]


def test_the_next_appointment_is_after_the_last_treatment() -> None:
    day = built({"history": history(), "schedule": schedule(-1, 0, 1, 2)})
    assert day.next
    assert day.next.starts.date() == DAY + timedelta(days=1)
    twice_a_day = built({"history": history(), "schedule": schedule(0, hour=15)})
    assert twice_a_day.next
    assert twice_a_day.next.starts.hour == 15


def test_times_with_an_offset_are_shown_in_the_sites_zone() -> None:
    _, session = only(built({"history": history()[:1], "plans": []}))
    row = Row("history", {**history()[0].fields, "started": "2026-11-25T07:10:00+00:00"})
    _, other = only(built({"history": [row]}))
    assert session.started == other.started == datetime(2026, 11, 25, 8, 10)
    late = Row("history", {**history()[0].fields, "started": "2026-11-25T23:30:00+00:00"})
    assert built({"history": [late]}).treated == ()


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_zone_has_is_no_time(started: str) -> None:
    assert local_time(started, ZONE) is None
    bad = history(fraction=3, fields=(("1-ARC", "1"),), started=started)
    assert only(built({"history": [*history(), *bad], "plans": plans()}))


@pytest.mark.parametrize("planned", ["1e-30", "1e-999999", "-5", "0.1"])
def test_no_dose_is_estimated_by_monitor_units_that_nobody_plans(planned: str) -> None:
    whole = history(fields=(("1-ARC", planned), ("2-ARC", "0")), at=datetime(2026, 11, 24, 8, 10))
    short = history(fraction=13, fields=(("1-ARC", planned),), delivered_mu="5")
    day = built({"history": [*whole, *short], "plans": plans()})
    plan, session = only(day)
    assert session.partial
    assert plan.dose is None
    assert dose_to_date(plan) == "\u2013"


def test_who_is_due_and_was_not_treated_is_waiting() -> None:
    treated = built({"history": history()})
    slot = Appointment(datetime(2026, 11, 25, 14), "Daily treatment", "TB1", "Open")
    tomorrow = Appointment(datetime(2026, 11, 26, 14), "Daily treatment", "TB1", "Open")
    day = department_day(
        [treated], [(Person("4711"), slot), (Person("9"), slot), (Person("9"), tomorrow)], DAY
    )
    assert [item.person.patient_id for item in day.waiting] == ["9"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Demo^Anna", "Demo, Anna"),
        ("Demo^Anna^Maria^Dr^PhD", "Demo, Anna Maria Dr PhD"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎, やまだ, たろう)"),
        ("=山田^太郎", "山田, 太郎"),
        ("", ""),
        ("^^", ""),
        ("Cher", "Cher"),
    ],
)
def test_names_read_as_people_write_them(name: str, expected: str) -> None:
    assert readable_name(name) == expected


def test_nothing_is_not_less_than_nothing() -> None:
    assert amount(Decimal("-0.01")) == "0.0"
    assert amount(Decimal("-0.1")) == "-0.1"


texts = (
    st.none()
    | st.text(max_size=30)
    | st.sampled_from(["1e99", "NaN", "-1", "2026-11-25T08:00:00", "٣", "²", "1e-30", "1e-999999", "0"])
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                (
                    "plan_uid",
                    "plan",
                    "fraction",
                    "field",
                    "planned_mu",
                    "delivered_mu",
                    "started",
                    "ended",
                    "dose_gy",
                ),
                texts,
            ),
        ),
        max_size=6,
    )
)
def test_any_rows_make_a_model(columns: list[dict[str, str | None]]) -> None:
    rows = [Row("history", item) for item in columns]
    day = patient_day(
        Sources("1", {"history": rows, "plans": rows, "schedule": rows}), date(2026, 11, 25), ZONE
    )
    for plan, session in day.treated:
        assert session.day == DAY
        assert plan.given >= 0
        assert plan.dose is None or plan.dose.gray.is_finite()


@pytest.mark.parametrize("planned", ["1e-400", "1e-999999"])
def test_an_amount_of_next_to_nothing_is_nothing(planned: str) -> None:
    """Divided by, it would be a dose that no arithmetic holds, and the patient would have no page at all."""
    before = history(fraction=1, at=datetime(2026, 11, 24, 8))
    rows = [*before, *history(fraction=2, fields=(("1-ARC", "100"),))]
    hostile = [Row("history", {**row.fields, "planned_mu": planned, "delivered_mu": "1e8"}) for row in rows]
    plan, session = only(built({"history": hostile, "plans": plans()}))
    assert session.partial
    assert words.dose_to_date(plan) == words.NOTHING


def test_an_absurd_dose_is_printed_all_the_same() -> None:
    assert words.amount(Decimal("1e30")) == f"1{'0' * 30}.0"
    assert words.dose(Decimal("1e30")) == f"1{'0' * 30}"


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_the_sites_zone_does_not_have_is_none(text: str) -> None:
    assert local_time(text, ZONE) is None


def test_what_was_given_beyond_the_plan_counts_in_the_dose() -> None:
    """Delivered twice or recorded twice: the dose to date must not pass over what the page warns of."""
    rows = history(fields=(("1-ARC", "100"),), delivered_mu="200")
    plan, session = only(built({"history": rows, "plans": plans()}))
    assert session.excess
    assert words.dose_to_date(plan) == "≈ 4 of 78 Gy"


def test_fractions_without_a_number_are_told_beside_those_that_have_one() -> None:
    """Not `0 of 39` over 6 Gy: whoever counts what is left would give it all again."""
    rows = [Row("history", {**row.fields, "fraction": None}) for row in course(upto=3)]
    plan, _ = only(built({"history": rows, "plans": plans()}))
    assert words.given(plan) == "0 of 39, and 3 without a number"
    numbered, _ = only(built({"history": course(upto=3), "plans": plans()}))
    assert words.given(numbered) == "3 of 39"
