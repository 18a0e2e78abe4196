"""A fault anywhere in an hour: the next one comes to the same records, rows and summary, and the share has them."""

from __future__ import annotations

import pytest
from hour_kit import PATIENTS, at, day
from test_faults_sweep import LIMIT, disturbed

from vault.archive.hours import BRANCH
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.keys import Pseudonyms

pytestmark = LIMIT

HOUR = at(12)


@pytest.fixture(scope="module")
def morning(tmp_path_factory, place_at):
    """The night is over, and two patients were treated since: one is known by rows and record, one by rows alone."""
    with day(tmp_path_factory.mktemp("morning")) as working:
        report = working.night(at(2))
        assert report.exit_code == 0, report.as_json()
        working.treat(PATIENTS[0], 8)
        working.treat(PATIENTS[1], 9, record=False)
        yield place_at(working.vault.folder, working.vault.share), report.run


def kept(place) -> dict[str, dict[str, str]]:
    """What the branches hold, pages left out: they say when their hour was."""
    repositories = [PatientRepository.open(place.folder, patient.patient_id) for patient in PATIENTS]
    found = {one.patient_id: one.tree(one.tip(BRANCH)) for one in repositories if one}
    overview = Overview.open(place.folder)
    found["overview"] = overview.tree(overview.tip(BRANCH)) if overview else {}
    return {
        patient: {path: "" if path.endswith((".pdf", "SHA256SUMS")) else oid for path, oid in tree.items()}
        for patient, tree in found.items()
    }


def recorded(place) -> dict[str, str]:
    """The last commit of each patient that the ledger has of the hours."""
    found: dict[str, str] = {}
    for event in Ledger(place.folder).events("hourly"):
        for pseudonym, entry in event["patients"].items():
            found.setdefault(pseudonym, entry["new_commit"])
        if event["overview"]:
            found.setdefault("overview", event["overview"])
    return found


def test_hourly(runner, morning, tmp_path, told):
    place, run = morning
    expected = {}

    def check(swept):
        yield from swept.complaints(run)
        found = kept(swept)
        if not expected:
            expected.update(found)
            assert sum(bool(tree) for tree in found.values()) == 3
        yield from (
            f"{what} is {found[what]} and not {expected[what]}"
            for what in found
            if found[what] != expected[what]
        )
        key = Pseudonyms.load(swept.config.vault.pseudonym_key)
        tips = {
            key.of(patient.patient_id): PatientRepository.open(swept.folder, patient.patient_id).tip(BRANCH)
            for patient in PATIENTS
        }
        tips["overview"] = Overview.open(swept.folder).tip(BRANCH)
        said = recorded(swept)
        yield from (
            f"the ledger has another tip of {name}" for name, tip in tips.items() if tip != said.get(name)
        )
        today = swept.folder / "today" / f"{HOUR.date()}"
        if len(list(today.glob("*.pdf"))) != 3:
            yield "today's pages are not there"

    disturbed(
        runner,
        told,
        "hourly",
        begin=lambda: place.copy(tmp_path / "swept"),
        command=lambda swept: ["-c", swept.toml, "--json", "hourly"],
        watched=lambda swept: [swept.folder, swept.share],
        check=check,
        wanted=3,
        now=HOUR,
    )
