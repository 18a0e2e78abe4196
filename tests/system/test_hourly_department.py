"""A working day of the simulated department, hour by hour: its database over ODBC, its ROIS over DICOM."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path

import databases
import pypdfium2
import pytest
from working_day import DAY, ZONE, Working, working_day

from vault.archive.hours import Hours
from vault.archive.repository import PatientRepository, all_repositories
from vault.archive.stage import objects_in
from vault.department.record import fraction_time
from vault.hourly_check import unmatched_of
from vault.report.treatments import Course

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite() or "there"),
]


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Working]:
    with working_day(tmp_path) as working:
        yield working


def text(document: bytes) -> str:
    pdf = pypdfium2.PdfDocument(io.BytesIO(document))
    return " ".join(page.get_textpage().get_text_bounded() for page in pdf)


def test_a_day_from_night_to_night(working: Working) -> None:
    first = working.night(time(2))
    assert first.exit_code == 0, first.as_json()
    times = sorted(
        fraction_time(patient, fraction) for patient in working.patients if (fraction := patient.fraction(2))
    )
    early = working.hour(times[0])
    assert early.exit_code == 0
    assert early.treated == times.count(times[0])
    assert early.folder
    said = text((early.folder / "department.pdf").read_bytes())
    assert "Due today, no treatment seen" in said
    whole = working.hour(time(19))
    assert whole.exit_code == 0
    assert whole.treated == len(times)
    said = text((early.folder / "department.pdf").read_bytes())
    assert "Due today, no treatment seen" not in said
    assert "PARTIAL" in said  # the first patient's fraction was broken off
    tips = {repository.patient_id: repository.tip("hourly") for repository in kept(working)}
    for patient in working.patients:
        page = text((early.folder / f"{patient.patient_id}.pdf").read_bytes())
        assert patient.name.replace("^", ", ") in page
        assert f"Fraction {patient.fraction(2)} of {patient.site.fractions}" in page
        assert "in the vault" in page
    after = working.night(time(23))
    assert after.exit_code == 0
    for repository in kept(working):
        records = [path for path in after.patients[repository.patient_id].added if "RTRECORD" in path]
        assert len(records) == 1
        names = [Path(path).name for path in objects_in(repository.tree(repository.tip()))]
        assert len(names) == len(set(names))
        assert unmatched_of(repository, DAY, ZONE) == []
        assert Hours(repository).tip == tips[repository.patient_id]


def kept(working: Working) -> list[PatientRepository]:
    return list(all_repositories(working.vault.config.vault.root))


def test_dose_to_date_is_what_was_delivered(working: Working) -> None:
    from vault.hourly_commit import Hour, day_of

    working.hour(time(19))
    hour = Hour(working.vault.config, None, datetime.combine(DAY, time(19), ZONE), None)  # type: ignore[arg-type]
    for patient, repository in zip(working.patients, kept(working), strict=True):
        ((course, session),) = day_of(hour, repository, Hours(repository)).treated
        assert isinstance(course, Course)
        assert course.dose
        whole = patient.site.dose_per_fraction * (patient.fraction(2) or 0)
        if session.partial:
            assert whole - patient.site.dose_per_fraction < float(course.dose.gray) < whole
        else:
            assert float(course.dose.gray) == pytest.approx(whole, abs=0.01)
            assert course.given == patient.fraction(2)
