"""A fault anywhere in a pruning, by `vault prune` or at the end of a night: the next run ends where it would have."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from retention_kit import ToldVault, marker
from rewrite_kit import found_in
from test_faults_sweep import LIMIT, disturbed

from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.files import private_folder
from vault.inventory import needed_on_share
from vault.share import layout

pytestmark = LIMIT

LAST = 2
"""The last night that names A."""

DUE = LAST + 34
"""A was announced the night before."""

DAY = timedelta(days=1)


def names(place) -> set[str]:
    """What the share has of the histories."""
    found = (path.relative_to(place.share).as_posix() for path in place.share.rglob("*.age"))
    return {name for name in found if not name.startswith((layout.LEDGER, layout.MANIFESTS))}


def refs(place) -> dict[str, dict[str, str]]:
    return {repository.patient_id: repository.refs() for repository in all_repositories(place.folder)}


def pruned(place) -> dict[str, tuple[str, str, str]]:
    """What the ledger says became of each: the ends of all intents, which must have one each."""
    events = list(Ledger(place.folder).events("prunes"))
    runs = {kind: [each["run"] for each in events if each["event"] == kind] for kind in ("intent", "done")}
    assert sorted(runs["intent"]) == sorted(runs["done"])
    said = [
        (name, entry)
        for each in events
        if each["event"] == "done"
        for name, entry in each["patients"].items()
    ]
    assert len(said) == len(dict(said)), "something was done twice"
    return {name: (entry["what"], str(entry["before"]), str(entry["after"])) for name, entry in said}


def whole(place) -> list[str]:
    """What is wrong with repositories that count: each is what it was, or what it is to be."""
    wrong = []
    for path in (place.folder / "repos").glob("[!.]*"):
        done = subprocess.run(
            ["git", "-C", path, "fsck", "--strict"], capture_output=True, text=True, check=False
        )
        if done.returncode or not (path / "refs/heads/main").exists():
            wrong.append(f"{path.name} is neither old nor new: {done.stderr}")
    return wrong


@pytest.fixture(scope="module")
def due(tmp_path_factory, place_at):
    """A goes, B's hours become fewer, and so do the days of the summary; A has copies in every place for them."""
    told = ToldVault(tmp_path_factory.mktemp("due") / "vault")
    for night in range(DUE + 1):
        treated = ["A", "B"] if night <= LAST else ["B"]
        if night <= LAST:
            for patient in treated:
                told.commit(patient, night - 0.5, "hourly")
                told.commit(patient, night)
            told.summarize(night - 0.5, treated)
        run = told.record(night, treated)
    told.commit("B", DUE - 0.3, "hourly")
    told.summarize(DUE - 0.3, ["B"])
    pseudonym = told.pseudonyms.of("A")
    said = {"event": "announced", "run": run, "when": told.at(DUE - 1).isoformat(), "patients": [pseudonym]}
    Ledger(told.root, told.signer).append("prunes", f"{run}-1-announced", said, when=told.at(DUE))
    told.deliver()
    for copy in (
        f"today/{told.at(DUE).date()}/A.pdf",
        "damaged/20991231T000000Z-0000-A.git/x",
        f"reports/{run}x/a.html",
    ):
        private_folder((told.root / copy).parent)
        (told.root / copy).write_bytes(marker("A"))
    return place_at(told.root, told.share), told.at(DUE + 0.01), run


def test_prune(runner, due, tmp_path, told):
    place, now, run = due
    before, expected = refs(place), {}

    def begin():
        return place.copy(tmp_path / "swept")

    def halfway(swept):
        yield from whole(swept)

    def check(swept):
        yield from swept.complaints(run)
        said = {"refs": refs(swept), "pruned": pruned(swept), "share": names(swept)}
        if not expected:
            expected.update(said)
            assert set(said["refs"]) == {"B"}
            assert said["refs"]["B"] != before["B"]
            assert sorted(what for what, *_ in said["pruned"].values()) == ["hourly", "hourly", "patient"]
        yield from (f"{what} differ: {said[what]}" for what in said if said[what] != expected[what])
        yield from (f"{path} still shows A" for path in found_in(swept.folder, marker("A")))
        if sum(1 for _ in (swept.share / layout.MANIFESTS).glob("*.age")) != 1:
            yield "an older manifest is still there"

    disturbed(
        runner,
        told,
        "prune",
        begin=begin,
        command=lambda swept: ["-c", swept.toml, "--json", "prune"],
        watched=lambda swept: [swept.folder, swept.share],
        check=check,
        halfway=halfway,
        wanted=3,
        now=now,
    )


def test_sync_that_prunes(runner, stage, tmp_path, told):
    """The end of a night in which one of two patients goes."""
    now = datetime.now(UTC) + 3 * DAY
    base = stage.settled.copy(tmp_path / "base")
    stays, goes = base.config.census.patients
    base.edit(f', "{goes}"]', "]")
    base.toml.write_text(base.toml.read_text() + '[retention]\nafter_last_treatment = "1d"\n')
    before = runner.run(["-c", base.toml, "--json", "sync"], [], now=now - DAY)
    assert json.loads(before.out)["retention"]["announced"] == [goes], before.out + before.err
    expected = {}

    def check(swept):
        (run, *_) = Ledger(swept.folder).events("runs")
        yield from swept.complaints(run["run"])
        said = {
            "trees": swept.trees(),
            "share": len(names(swept) - needed_on_share(swept.config)),  # what the site's files were before
            "gone": sorted((what, before) for what, before, _ in pruned(swept).values()),
        }
        if not expected:
            expected.update(said)
            assert set(said["trees"]) == {stays}
            assert [what for what, _ in said["gone"]] == ["patient"]
        yield from (f"{what} differ" for what in said if said[what] != expected[what])

    disturbed(
        runner,
        told,
        "sync with [retention]",
        begin=lambda: base.copy(tmp_path / "swept"),
        command=lambda swept: ["-c", swept.toml, "--json", "sync"],
        watched=lambda swept: [swept.folder / "repos", swept.folder / "removals", swept.share],
        check=check,
        wanted=2,
        now=now,
    )
