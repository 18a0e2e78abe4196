"""A fault anywhere in the mail of a night: one undisturbed run later each run's mail is there, once for each reader."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import faults
from faults import Fault
from mail_kit import read
from mail_night import into_a_maildir
from test_faults_sweep import LIMIT, sample

from vault.archive.ledger import Ledger

pytestmark = LIMIT


def test_the_mail_of_a_night(runner, stage, tmp_path):
    def begin():
        place = stage.settled.copy(tmp_path / "swept")
        place.toml.write_text(place.toml.read_text() + into_a_maildir("limited"))
        (place.folder / "mail/outbox").mkdir(parents=True, mode=0o700)  # it has mailed before
        return place

    place = begin()
    undisturbed = runner.run(["-c", place.toml, "--json", "sync"], [place.folder / "mail"])
    assert undisturbed.code == 0, undisturbed.out + undisturbed.err
    points = len(undisturbed.points["main", "disk"])
    hows = itertools.cycle(("before", "torn", "ENOSPC", "after", "EIO"))
    wrong = []
    for at in sample(points, 4):
        place, fault = begin(), Fault(at, next(hows))
        ran = runner.run(["-c", place.toml, "--json", "sync"], [place.folder / "mail"], fault)
        assert ran.hit
        if ran.code not in {0, 3, faults.KILLED} or "Traceback" in ran.err:
            wrong.append(f"{fault} ({ran.hit}): exit code {ran.code}: {ran.out}{ran.err}")
        last = runner.run(["-c", place.toml, "--json", "sync"], [])
        if last.code != 0 or json.loads(last.out)["delivered"]["mail_waiting"]:
            wrong.append(f"{fault} ({ran.hit}): then {last.code}: {last.out}{last.err}")
        mails = [read(path.read_bytes()) for path in (place.folder / "mail/out/new").iterdir()]
        found = Counter((str(mail["X-Vault-Run"]), str(mail["To"])) for mail in mails)
        runs = {event["run"] for event in Ledger(place.folder).events("runs")}
        people = {str(mail["To"]) for mail in mails}
        expected = Counter(itertools.product(runs, people))
        if found != expected or len(people) != 2:
            wrong.append(f"{fault} ({ran.hit}): {found} and not {expected}")
    assert wrong == [], "\n".join(wrong)
