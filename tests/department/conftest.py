"""Two nights of a small department, made once."""

from __future__ import annotations

from datetime import date

import pytest
from pydicom.dataset import FileDataset

from vault.department.nights import night
from vault.department.patients import Patient, Scale, roster

FIRST_NIGHT = date(2026, 11, 23)
SMALL = Scale(matrix=16, slices=12, control_points=10, dose_pitch=10.0)


@pytest.fixture(scope="session")
def first_night() -> date:
    return FIRST_NIGHT


@pytest.fixture(scope="session")
def patients() -> tuple[Patient, ...]:
    return roster(4, FIRST_NIGHT, scale=SMALL)


@pytest.fixture(scope="session")
def night1(patients: tuple[Patient, ...]) -> tuple[FileDataset, ...]:
    return tuple(step.make() for step in night(patients, 1, FIRST_NIGHT).steps)


@pytest.fixture(scope="session")
def night2(patients: tuple[Patient, ...]) -> tuple[FileDataset, ...]:
    return tuple(step.make() for step in night(patients, 2, FIRST_NIGHT).steps)
