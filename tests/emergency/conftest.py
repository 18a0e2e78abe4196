"""A vault with patients for the export's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from treatments import NOW, Department

from vault.archive.repository import PatientRepository
from vault.emergency.export import Report, export
from vault.emergency.plan import Request
from vault.progress import Silent

Export = Callable[..., Report]


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return Department(tmp_path)


@pytest.fixture
def run_export(tmp_path: Path, department: Department) -> Export:
    """`run_export(repository, …, at=None, to=…)` exports to `tmp_path / "out"`."""

    def run(*repositories: PatientRepository, at: str | None = None, to: Path = tmp_path / "out") -> Report:
        requests = [Request(repository, at) for repository in repositories]
        return export(requests, to, now=NOW, allowed=department.allowed, progress=Silent())

    return run
