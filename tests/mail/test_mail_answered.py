"""The mail of a night is answered by its own links, and by replies that quote all of it: that confirms the night."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from mail_night import into_a_maildir, ward
from vaults import FIRST_NIGHT

from vault.alert import alert
from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.verification.state import State, policy_of, states


def link_in(mail: EmailMessage, word: str) -> dict[str, list[str]]:
    """Subject and body of the link that answers with `word`."""
    body = mail.get_body(("html",))
    assert body is not None
    links = [html.unescape(link) for link in re.findall(r'href="(mailto:[^"]+)"', body.get_content())]
    (link,) = [link for link in links if f"body={word}" in link]
    return parse_qs(urlsplit(link).query)


def answer(folder: Path, sender: str, subject: str, text: str) -> None:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, "vault@test.local", subject
    made["Date"] = "Tue, 24 Nov 2026 06:00:00 +0000"
    made["Message-ID"] = f"<{abs(hash((sender, text)))}@test.local>"
    made.set_content(text)
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "new" / made["Message-ID"].strip("<>")).write_bytes(bytes(made))


@pytest.mark.parametrize("content", ["full", "limited"])
def test_two_answers_to_the_mail_confirm_the_night(tmp_path: Path, content: str) -> None:
    keys = into_a_maildir(content).replace(
        'maildir = "mail/out"', 'maildir = "mail/out"\nanswers = "mail/in"'
    )
    with ward(tmp_path, keys) as place:
        place.play()
        place.vault.sync()
    config, folder = place.vault.config, place.vault.folder
    by_link = link_in(place.mails("ann@test.local")[0], "VERIFY")
    answer(folder / "mail/in", "ann@test.local", by_link["subject"][0], by_link["body"][0])
    (mail,) = place.mails("ben@test.local")
    plain = mail.get_body(("plain",)).get_content()
    line = re.search(r"VERIFY \S+", plain)
    assert line
    quoted = "".join(f"> {each}\n" for each in plain.splitlines())
    first = alert(config, now=FIRST_NIGHT + timedelta(hours=5))
    assert first.polled is not None
    assert [verdict.verdict.recipient for verdict in first.polled.verdicts] == ["Ann"]
    answer(
        folder / "mail/in",
        "ben@test.local",
        f"Re: {mail['Subject']}",
        f"{line[0]}\n\nBen\n\nvault wrote:\n{quoted}",
    )
    second = alert(config, now=FIRST_NIGHT + timedelta(hours=6))
    assert second.polled is not None
    assert [verdict.verdict.recipient for verdict in second.polled.verdicts] == ["Ben"], second.polled.refused
    (run,) = states(Ledger(folder), policy_of(config))
    assert run.state is State.CONFIRMED
    for repository in all_repositories(folder):
        assert repository.ref("refs/vault/verified") == repository.tip()
    subjects = [each["Subject"] for each in place.mails("ben@test.local")]
    assert subjects[0] == mail["Subject"]
    assert "Your VERIFY was counted" in subjects
