"""The mail of a run: the same facts in HTML and text, worst first, and nothing of a patient in the limited one."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from mail_reports import BEGAN, HEAD, MARKED, NAME, RUN, change, eventful, patient, quiet

from vault.config import Mail, MailRecipient
from vault.mail.ask import ask_for
from vault.mail.content import Ask, Content
from vault.mail.digest import PATIENTS_TOLD, Circumstances, digest
from vault.mail.message import LEDGER, message
from vault.mail.notices import night_failed, notice, without_paths, without_patients
from vault.mail.render import WIDTH, html, text
from vault.model import AttributeChange, Change, Failure, Finding
from vault.report.changes import Anomaly, Census, RunReport

TEN = BEGAN.replace(hour=10)
ANN = MailRecipient(name="Ann", address="ann@test.local")
ABOUT = Circumstances(full=True, confirm_by=TEN)
LIMITED = Circumstances(full=False, confirm_by=TEN)


def ask(**more: object) -> Ask:
    options = {
        "code": "7K3QD-0VZ9M",
        "run": RUN,
        "answers_to": "vault@test.local",
        "began": BEGAN,
        "confirm_by": TEN,
        "required": 2,
        "full": True,
        "totp": False,
        **more,
    }
    return ask_for(ANN, **options)  # type: ignore[arg-type]


class Seen(HTMLParser):
    """What a person sees of a page, and what its tags are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in {"style", "title"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def both(content: Content) -> list[str]:
    """Both forms as words with single spaces."""
    return [Seen(html(content)).text, " ".join(text(content).split())]


# --- subjects


@pytest.mark.parametrize(
    ("report", "about", "said"),
    [
        (eventful(), ABOUT, "vault: 2 critical, 1 major, 1 minor, 14 routine, 2 failed; confirm by 10:00"),
        (quiet(), ABOUT, "vault: nothing changed; 49 patients"),
        (
            replace(quiet(), failed=(Failure("share", "away"),)),
            ABOUT,
            "vault: nothing changed, 1 failed; 49 patients",
        ),
        (
            replace(quiet(), patients=(patient(1, failed=(Failure("", "no association"),)),)),
            ABOUT,
            "vault: no change found, 1 failed; 50 patients",
        ),
        (
            eventful(),
            replace(ABOUT, emergency="since 23 Nov, 14:05"),
            "vault EMERGENCY: 2 critical, 1 major, 1 minor, 14 routine, 2 failed; confirm by 10:00",
        ),
        (
            replace(
                eventful(), failed=(), anomalies=(Anomaly("share", "critical", "half of all plans changed"),)
            ),
            ABOUT,
            "vault: ALARM, 2 critical, 1 major, 1 minor, 14 routine, 1 failed; confirm by 10:00",
        ),
        (
            replace(quiet(), patients=(patient(1, change("minor", "x")),)),
            replace(ABOUT, confirm_by=TEN + timedelta(days=1)),
            "vault: 1 minor; confirm by Wed 25 Nov, 10:00",
        ),
    ],
)
def test_the_subject_can_be_triaged_and_names_nobody(
    report: RunReport, about: Circumstances, said: str
) -> None:
    subject = digest(report, about, None).subject
    assert subject == said
    assert len(subject) < 100
    assert digest(report, replace(about, full=False), None).subject == subject


# --- content


def test_html_and_text_say_the_same() -> None:
    page, plain = both(digest(eventful(), ABOUT, ask()))
    for said in (
        "STOP AND LOOK",
        "prescribed dose of PTV 60 Gy → 66 Gy",
        "approval APPROVED → UNAPPROVED",
        "machine TRUEBEAM1 → TRUEBEAM2",
        "never arrived",
        "the share /mnt/share was away",
        "DOCMARKER.docx",
        "VERIFY 7K3QD-0VZ9M",
        "REJECT 7K3QD-0VZ9M",
        "by 10:00",
        "three approvals withdrawn at one time stamp",
        "the plan's approval history",
        RUN,
        HEAD,
        "50 asked for, 18 with changes",
        "born 1951-03-09",
        "ID-MARKER-77123-99",
    ):
        assert said in page, said
        assert said in plain, said
    assert "Radiation Oncology <&> Hospital" in page


def test_the_worst_patient_comes_first_and_routine_is_one_list() -> None:
    for said in both(digest(eventful(), ABOUT, ask())):
        order = [said.index(f"ID-MARKER-77123-{number}") for number in (1, 2, 3, 4, 10, 23)]
        assert order == sorted(order)
        assert said.lower().index("prescribed dose") < said.index("VERIFY 7K3QD")
        assert said.count("fraction 6 given") == 0


def test_what_a_mail_can_not_hold_is_counted() -> None:
    many = tuple(
        patient(number, *[change("critical", f"finding {number} {n}", title=f"P{n}") for n in range(9)])
        for number in range(PATIENTS_TOLD + 7)
    )
    for said in both(digest(replace(quiet(), patients=many), ABOUT, ask())):
        assert "and 7 more patients: see the report" in said
        assert "and 4 things more" in said
        assert "finding 0 4" in said
        assert "finding 0 5" not in said


def findings(*said: tuple[str, str], number: int = 1, attributes: int = 1) -> Change:
    differ = tuple(AttributeChange(f"A{n}", f"A{n}", "", "LO", "1", "2") for n in range(attributes))
    told = tuple(Finding(severity, text) for severity, text in said)
    return Change(f"dicom/RTPLAN/1/{number}.dcm", "changed", "RTPLAN", "P", said[0][0], differ, told)


def test_no_grave_finding_hides_behind_another_of_the_same_plan() -> None:
    plan = findings(
        ("critical", "gantry angle 181 → 182°"),
        ("critical", "monitor units 100 → 900 MU"),
        ("critical", "planned fractions 28 → 5"),
        *[("critical", f"positions {number}") for number in range(6)],
        ("minor", "plan label A → B"),
    )
    for said in both(digest(replace(quiet(), patients=(patient(1, plan),)), ABOUT, ask())):
        assert "plan P: gantry angle 181 → 182°" in said
        assert "plan P: monitor units 100 → 900 MU" in said
        assert "plan P: planned fractions 28 → 5" in said
        assert "and 6 critical and 1 minor findings more" in said
        assert "label" not in said


def test_a_mail_of_many_patients_stays_one_that_mail_programs_show_whole() -> None:
    plans = [
        findings(*[("critical", f"finding {n}") for n in range(9)], number=n, attributes=0) for n in range(5)
    ]
    many = tuple(patient(number, *plans) for number in range(PATIENTS_TOLD))
    content = digest(replace(quiet(), patients=many), ABOUT, ask())
    assert len(html(content)) < 400_000
    for said in both(content):
        assert "plan P: finding 0; and 8 critical findings more" in said
        assert "finding 1" not in said


def test_no_grave_finding_hides_behind_what_many_objects_have_in_common() -> None:
    alike = [findings(("critical", "monitor units 100 → 900 MU"), number=n, attributes=8) for n in (1, 2)]
    for said in both(digest(replace(quiet(), patients=(patient(1, *alike),)), ABOUT, ask())):
        assert "2 plans: a 0, a 1, a 2 and 5 more changed in 2 objects" in said
        assert "2 plans: monitor units 100 → 900 MU" in said


def test_a_new_patient_is_no_cloak_for_a_grave_finding() -> None:
    plan = replace(findings(("critical", "machine that nobody knows")), kind="added", attributes=())
    for said in both(digest(replace(quiet(), patients=(patient(1, plan, old=None),)), ABOUT, ask())):
        assert "new in the vault" in said
        assert "plan P: machine that nobody knows" in said


def test_how_grave_is_what_is_left_out_is_said() -> None:
    many = [change("critical", f"finding {n}", title=f"P{n}") for n in range(7)]
    some = [change("minor", f"small {n}", title=f"Q{n}") for n in range(2)]
    for said in both(digest(replace(quiet(), patients=(patient(1, *many, *some),)), ABOUT, ask())):
        assert "and 4 things more: 2 critical, 2 minor" in said


def test_limited_mail_holds_nothing_that_the_rois_wrote() -> None:
    content = digest(eventful(), LIMITED, ask(full=False))
    page = html(content)
    for said in (page, text(content), content.subject):
        for marked in (*MARKED, "1951-03-09", "Gy", "APPROVED", "/mnt/share", "TRUEBEAM", "MU", "Bladder"):
            assert marked not in said, marked
    for said in both(content):
        assert "Patient 0000000000000001" in said
        assert "Patient 0000000000000017" in said, "routine"
        assert "2 changes" in said
        assert "2 things failed" in said
        assert "VERIFY 7K3QD-0VZ9M" in said
        assert "pseudonyms, as they stand" in said


def test_limited_mail_says_of_whom_an_alarm_is_though_nothing_changed() -> None:
    odd = patient(5, anomalies=(Anomaly("m", "critical", "NAMEMARKER has two names"),))
    for said in both(digest(replace(quiet(), patients=(odd,)), LIMITED, None)):
        assert "ALARM" in said
        assert "Patient 0000000000000005: one thing; the report says what" in said
        assert "NAMEMARKER" not in said


def test_hostile_text_is_shown_and_does_nothing() -> None:
    evil = (
        '<script>alert(1)</script><img src="http://evil/x"><a href="javascript:x">y</a>"\'&amp;\x07\u202eabc'
    )
    report = replace(
        quiet(),
        site=evil,
        patients=(patient(1, change("critical", evil, title=evil), name=evil, patient_id=evil),),
        failed=(Failure(evil, evil),),
    )
    content = digest(report, ABOUT, ask())
    seen = Seen(html(content))
    tags = {tag for tag, _ in seen.tags}
    assert tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "table",
        "tbody",
        "tr",
        "td",
        "span",
        "a",
        "br",
    }
    links = [attributes["href"] for tag, attributes in seen.tags if tag == "a"]
    assert all(link and link.startswith("mailto:vault@test.local?") for link in links)
    assert not any(
        "src" in attributes or any(key.startswith("on") for key in attributes) for _, attributes in seen.tags
    )
    assert "<script>alert(1)</script>" in seen.text
    assert "\u202e" not in html(content)
    assert "\u202e" not in text(content)
    assert "\x07" not in text(content)


def test_a_name_written_from_the_right_does_not_swap_before_and_after() -> None:
    david, sara = "\u05d3\u05d5\u05d3", "\u05e9\u05e8\u05d4"
    odd = patient(1, change("critical", f"patient name {david} → {sara}"))
    content = digest(replace(quiet(), patients=(odd,)), ABOUT, None)
    assert f"patient name <bdi>{david}</bdi> → <bdi>{sara}</bdi>" in html(content)
    assert f"patient name {david}\u200e → {sara}\u200e" in text(content)


def test_a_value_of_a_megabyte_is_cut_in_both_forms() -> None:
    long = "N" * 1_000_000
    report = replace(
        quiet(),
        patients=(patient(1, change("critical", long, title=long), name=long, patient_id=long),),
        failed=(Failure(long, long),),
        census=Census(1, (long,)),
    )
    content = digest(report, ABOUT, ask())
    assert len(html(content)) < 100_000
    assert len(text(content)) < 20_000
    for said in both(content):
        assert "more characters" in said


def test_nothing_changed_is_a_short_mail_that_asks_nothing() -> None:
    content = digest(quiet(), ABOUT, None)
    for said in both(content):
        assert "NOTHING CHANGED" in said
        assert "49 asked for" in said
        assert HEAD in said
        assert "VERIFY" not in said
        assert len(said) < 900


def test_an_emergency_stands_above_everything() -> None:
    content = digest(quiet(), replace(ABOUT, emergency="since 23 Nov, 14:05"), None)
    for said in both(content):
        assert said.removeprefix("*** ").startswith("An emergency is in force since 23 Nov, 14:05")


def test_who_leaves_and_what_is_attached_is_said() -> None:
    about = replace(ABOUT, leaving=("4711", "4712"), attached=("Attached: x.html.",))
    for said in both(digest(quiet(), about, None)):
        assert "`vault hold patient` keeps them" in said.lower()
        assert "4712" in said
        assert "Attached: x.html." in said


# --- how to answer


def test_links_open_a_mail_with_the_line_in_it() -> None:
    asked = ask()
    for link, word in ((asked.verify_link, "VERIFY"), (asked.reject_link, "REJECT")):
        parts = urlsplit(link)
        fields = parse_qs(parts.query)
        assert (parts.scheme, parts.path) == ("mailto", "vault@test.local")
        assert fields["body"] == [f"{word} 7K3QD-0VZ9M"]
        assert fields["subject"] == [f"{word} vault {RUN}"]
        assert "+" not in link, "a mail program would show it"
    assert "six digits" not in " ".join(asked.how)
    assert "six digits" in " ".join(ask(totp=True).how)
    assert "Another person has" in " ".join(asked.how)
    assert "2 other people have" in " ".join(ask(required=3).how)
    assert "confirm, too" not in " ".join(ask(required=1).how)


# --- the shorter mails


def test_a_night_that_failed_is_told_in_plain_words(tmp_path) -> None:
    why = f"The signing key {tmp_path}/keys/signing_key can't be read (see {tmp_path}/repos/Meier_1951.git)."
    for said in both(night_failed("Oncology", BEGAN, [why], tmp_path, full=True)):
        assert "The signing key" in said
        assert "keys/signing_key" in said
        assert "Meier" not in said
        assert "vault doctor" in said
    limited = night_failed("Oncology", BEGAN, [why], tmp_path, full=False)
    for said in both(limited):
        assert "The signing key … can't be read" in said
        assert str(tmp_path) not in said
    assert limited.subject == "vault: THE NIGHT FAILED, nothing was compared"


def test_no_path_is_left_where_the_vault_lies_in_a_folder_with_a_space() -> None:
    root = Path("/srv/my vault")
    why = f"The repository '{root}/repos/Meier_1951.git' is damaged (see {root}/repos/Meier_1951.git/HEAD)."
    assert without_paths(why, root) == "The repository '…' is damaged (see …)."
    for said in both(night_failed("Oncology", BEGAN, [why], root, full=False)):
        assert "Meier" not in said


def test_paths_that_name_patients_are_cut(tmp_path) -> None:
    moved = f"{tmp_path}/damaged/20261124T020000Z-3f9c-Meier.git"
    assert without_patients(moved, tmp_path) == f"{tmp_path}/damaged"
    said = f"{tmp_path}/inbox/20261124/Meier/x: no space; {tmp_path}/ledger.git is fine"
    assert without_patients(said, tmp_path) == f"{tmp_path}/inbox: no space; {tmp_path}/ledger.git is fine"


def test_a_notice_keeps_its_paragraphs_and_lines() -> None:
    content = notice(
        "Oncology",
        "ALARM: 2 patients not confirmed",
        "What a night changed has\nnot been confirmed.\n\nRun X: 2 patients.\n  Answered: Ann (VERIFY)\n"
        "  Not answered: Ben\n\nLook at the mail of that night.",
        emergency="since 23 Nov, 14:05",
    )
    assert content.subject == "EMERGENCY, ALARM: 2 patients not confirmed"
    for said in both(content):
        assert "What a night changed has not been confirmed." in said
        assert re.search(
            r"Run X: 2 patients\. . Answered: Ann \(VERIFY\) . Not answered: Ben", said, re.IGNORECASE
        )
        assert said.removeprefix("*** ").startswith("An emergency is in force")
    assert notice("O", "Your answer was NOT counted", "Ann, no.").light.word == "PLEASE READ"


# --- the message


def test_the_message_tells_machines_what_it_is() -> None:
    mail = Mail(sender="vault@test.local", recipients=(ANN,))
    made = message(
        mail, "Klinik für Strahlen, <Z>", digest(eventful(), ABOUT, ask()), [("Ann Ö", ANN.address)], BEGAN,
        run=RUN, ledger_head=HEAD,
    )  # fmt: skip
    assert made["X-Vault-Run"] == RUN
    assert made[LEDGER] == HEAD
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["Date"].datetime == BEGAN
    assert [part.get_content_type() for part in made.iter_parts()] == ["text/plain", "text/html"]
    assert made.get_content_type() == "multipart/alternative"
    wire = bytes(made)
    assert all(len(line) <= 998 for line in wire.splitlines())
    answer = message(mail, "O", notice("O", "x", "y"), [("Ann", ANN.address)], BEGAN, reply=True)
    assert answer["Auto-Submitted"] == "auto-replied"


def test_lines_of_text_are_short() -> None:
    lines = text(digest(eventful(), ABOUT, ask())).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert NAME.split(",", maxsplit=1)[0] in "\n".join(lines)
    assert not any(before == after == "" for before, after in itertools.pairwise(lines))


def test_styles_are_inlined_and_nothing_is_loaded() -> None:
    page = html(digest(eventful(), ABOUT, ask()))
    seen = Seen(page)
    cells = [attributes for tag, attributes in seen.tags if tag == "td"]
    assert all(attributes.get("style") for attributes in cells), "Outlook reads no style sheet"
    assert "<!--[if mso]>" in page
    assert not re.search(r"url\(|@import|http:|https:", page)
    assert not [tag for tag, _ in seen.tags if tag in {"img", "script", "link", "div", "form"}]
