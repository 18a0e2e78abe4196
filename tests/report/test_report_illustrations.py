"""A report's pictures are bounded in number and in time, whatever the objects hold."""

from __future__ import annotations

from typing import Any

import pytest
import report_kit

from vault.report import illustrations as module
from vault.report.illustrations import LONGEST, illustrations
from vault.report.pictures import Picture


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every object takes half of the time, and can't be drawn in the end; returns what was tried."""
    tried: list[str] = []

    def slow(*arguments: Any) -> list[Picture]:
        tried.append(arguments[-1].path)
        return [Picture("Contours", "no", b"", "No picture: it crosses itself.")]

    monkeypatch.setattr(module, "pictures_for", slow)
    monkeypatch.setattr(module.PatientRepository, "open", lambda *_: object())
    monkeypatch.setattr(module, "monotonic", lambda: len(tried) * LONGEST / 2)
    return tried


def test_objects_that_take_long_and_come_to_nothing_do_not_keep_the_report(took: list[str]) -> None:
    """Only what is drawn counts against the number of pictures: a hundred hostile objects would take all day."""
    patients = [report_kit.patient(number, "critical") for number in range(1, 9)]
    config: Any = type("Config", (), {"vault": type("Vault", (), {"root": None})})
    found = illustrations(config, report_kit.report(*patients))
    assert len(took) == 2
    assert len(found) == 8  # the others have a sentence
    last = found["P-008", patients[-1].groups[0].changes[0].path]
    assert [picture.caption for picture in last] == [
        "No picture: drawing what is graver took too long. `vault diff PATIENT --html FILE` draws it."
    ]
