"""Rows of a day for the reports' tests, as the database's queries answer them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from vault.model import Row

DAY = date(2026, 11, 25)


def history(
    plan: str = "PROSTATE_1A",
    fraction: int = 12,
    *,
    patient: str = "4711",
    fields: tuple[tuple[str, str], ...] = (("1-ARC", "376.5"), ("2-ARC", "361")),
    at: datetime = datetime(2026, 11, 25, 8, 10),
    **changes: str | None,
) -> list[Row]:
    """One fraction, every field delivered in full; `changes` are columns of the last field."""
    rows = []
    for number, (field, meterset) in enumerate(fields):
        started = at + timedelta(minutes=2 * number)
        columns: dict[str, str | None] = {
            "patient_id": patient,
            "history_key": f"{plan}/{fraction}/{number}/{at:%H%M}",
            "plan_uid": f"1.2.{sum(map(ord, plan))}",
            "plan": plan,
            "course": "C1",
            "fraction": str(fraction),
            "field": field,
            "planned_mu": meterset,
            "delivered_mu": meterset,
            "machine": "TB1",
            "started": started.isoformat(),
            "ended": (started + timedelta(seconds=70)).isoformat(),
            "termination": "NORMAL",
            "override": "no",
            "record_uid": None,
        }
        rows.append(Row("history", columns))
    last = rows[-1]
    rows[-1] = Row("history", {**last.fields, **changes})
    return rows


def course(plan: str = "PROSTATE_1A", upto: int = 12, **options: object) -> list[Row]:
    """Fractions 1 to `upto`, one a day, the last one today."""
    rows = []
    for fraction in range(1, upto):
        when = datetime(2026, 11, 25, 8, 10) - timedelta(days=upto - fraction)
        rows += history(
            plan, fraction, at=when, **{k: v for k, v in options.items() if k in ("patient", "fields")}
        )  # type: ignore[arg-type]
    return rows + history(plan, upto, **options)  # type: ignore[arg-type]


def plans(
    plan: str = "PROSTATE_1A",
    *,
    patient: str = "4711",
    fractions: int = 39,
    dose: str = "2",
    status: str = "TreatApproval",
) -> list[Row]:
    """The row of a plan."""
    columns = {
        "patient_id": patient,
        "plan_key": plan,
        "plan_uid": f"1.2.{sum(map(ord, plan))}",
        "course": "C1",
        "plan": plan,
        "status": status,
        "fractions_planned": str(fractions),
        "dose_per_fraction_gy": dose,
    }
    return [Row("plans", columns)]


def demographics(name: str, *, patient: str = "4711", **more: str) -> list[Row]:
    """Who it is."""
    columns = {
        "patient_id": patient,
        "name": name,
        "birth_date": "1951-03-09",
        "sex": "F",
        "phone": "+49 30 1234567",
        "diagnosis": "C61 Malignant neoplasm of prostate",
        "priority": "1",
        **more,
    }
    return [Row("demographics", columns)]


def schedule(*days: int, patient: str = "4711", hour: int = 8) -> list[Row]:
    """Appointments so many days from today."""
    return [
        Row(
            "schedule",
            {
                "patient_id": patient,
                "starts": datetime(2026, 11, 25, hour, 10).__add__(timedelta(days=number)).isoformat(),
                "activity": "Daily treatment",
                "machine": "TB1",
                "status": "Open",
            },
        )
        for number in days
    ]
