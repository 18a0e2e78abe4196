"""Answers as they arrive, and the verdict that each must give; then hostile mail, which gives none."""

from __future__ import annotations

import base64
import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from answer_kit import (
    ADDRESSES,
    NOW,
    OLD,
    OLD_RUN,
    ONE,
    RUN,
    TWO,
    VAULT,
    WRITTEN,
    code_of,
    digest_text,
    docket,
    mail,
    quoted,
    said,
    totp_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.verification.answers import NoVerdict, Reply, read_answer
from vault.verification.html_text import text_of_html
from vault.verification.judge import Docket, Judged, Refused, judge
from vault.verification.mime import LARGEST
from vault.verification.own_text import own_lines
from vault.verification.quorum import Answer

ANN, BEN = code_of("Ann"), code_of("Ben")
RULE = "_" * 32
OUTLOOK = f"{RULE}\nVon: vault <{VAULT}>\nGesendet: Mittwoch\nBetreff: x\n\n{digest_text('Ann')}"
PLAIN_OUTLOOK = f"From: vault <{VAULT}>\nSent: Wednesday\nTo: Ann\nSubject: x\n\n{digest_text('Ann')}"
GMAIL = (
    f'<div dir="ltr">VERIFY {ANN}</div><br><div class="gmail_quote"><div class="gmail_attr">On Wed wrote:</div>'
    f"<blockquote>REJECT {ANN}</blockquote></div>"
)
WORD = (
    f'<html><head><style>p {{color: red}}</style><title>REJECT</title></head><body><p class="MsoNormal"><b>VERIFY '
    f'{ANN}</b></p><p>&nbsp;</p><p>Grüße</p><div id="divRplyFwdMsg">From: vault<br>{digest_text("Ann")}</div></body>'
)


def raw(text: str = "", **options: object) -> bytes:
    return bytes(mail(text, **options))  # type: ignore[arg-type]


def verify(*patients: str, run: str = RUN) -> tuple[object, ...]:
    return Answer.VERIFY, run, frozenset(patients) or None


def reject(*patients: str, run: str = RUN) -> tuple[object, ...]:
    return Answer.REJECT, run, frozenset(patients) or None


GOOD: dict[str, tuple[bytes, tuple[object, ...]]] = {
    "the line alone": (raw(f"VERIFY {ANN}"), verify()),
    "objection": (raw(f"REJECT {ANN}"), reject()),
    "one patient": (raw(f"VERIFY {ANN} 4711"), verify(ONE)),
    "both patients, with commas": (raw(f"Verify: {ANN}, 4711, 0815."), verify(ONE, TWO)),
    "by pseudonym": (raw(f"REJECT {ANN} {TWO}"), reject(TWO)),
    "code as people type it": (raw(f"verify {ANN.lower().replace('-', ' ')}"), verify()),
    "code on the next line": (raw(f"VERIFY\n\n{ANN}\n"), verify()),
    "labelled lines": (raw(f"VERIFY\nCode: {ANN}\nPatients: 4711 0815"), verify(ONE, TWO)),
    "quoted below": (raw(f"VERIFY {ANN}\n\n{quoted('Ann')}"), verify()),
    "answered below the quotation": (raw(f"{quoted('Ann')}\nVERIFY {ANN}\n"), verify()),
    "Outlook's quotation": (raw(f"VERIFY {ANN}\n\nMit freundlichen Grüßen\nAnn\n{OUTLOOK}"), verify()),
    "headers without a rule": (raw(f"REJECT {ANN}\n\n{PLAIN_OUTLOOK}"), reject()),
    "original message": (
        raw(f"VERIFY {ANN}\n\n-----Original Message-----\n{digest_text('Ann')}"),
        verify(),
    ),
    "French quotation": (
        raw(
            f"VERIFY {ANN}\n\nLe mer. 25 nov. 2026 à 05:02, vault <{VAULT}> a\nécrit :\n\n{digest_text('Ann')}"
        ),
        verify(),
    ),
    "signature": (raw(f"VERIFY {ANN}\n-- \nAnn\nNot for strangers\nREJECT"), verify()),
    "disclaimer": (
        raw(f"VERIFY {ANN}\n\nThis e-mail is confidential. If you are not the\nrecipient, do not read it."),
        verify(),
    ),
    "banner of a gateway": (raw(f"[EXTERNAL] Do not click on links.\n\nVERIFY {ANN}"), verify()),
    "telephone": (raw(f"VERIFY {ANN}\n\nSent from my iPhone. Not edited."), verify()),
    "HTML alone": (raw(html=GMAIL), verify()),
    "Outlook's HTML with umlauts": (raw(html=WORD), verify()),
    "text and HTML": (raw(f"VERIFY {ANN}", html=GMAIL), verify()),
    "base64 HTML": (
        b"From: Ann <ann@hospital.example>\r\nContent-Type: text/html; charset=utf-16\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(f"<p>REJECT {ANN}</p>".encode("utf-16")),
        reject(),
    ),
    "quoted-printable latin-1": (
        b"From: ann@hospital.example\nContent-Type: text/plain; charset=iso-8859-1\n"
        b"Content-Transfer-Encoding: quoted-printable\n\nVERIFY=20" + ANN.encode() + b"\n\nGr=FC=DFe\n",
        verify(),
    ),
    "unknown charset": (
        b"From: ann@hospital.example\nContent-Type: text/plain; charset=klingon\n\nVERIFY " + ANN.encode(),
        verify(),
    ),
    "code of an older report": (raw(f"VERIFY {code_of('Ann', OLD)}"), verify(run=OLD_RUN)),
    "objection within a sentence": (
        raw(f"I must REJECT this ({ANN}), the couch of 4711 is wrong. I can't explain it."),
        reject(),
    ),
    "objection with words beside it": (raw(f"REJECT {ANN} couch"), reject()),
    "objection that mentions verifying": (raw(f"REJECT {ANN}\nI could not verify the MU."), reject()),
    "a name in front of the address": (
        raw(f"VERIFY {ANN}", sender='"Muster, Ann" <ANN@Hospital.example>'),
        verify(),
    ),
    "20 MB attached": (b"", verify()),
    "no-break spaces and invisible letters": (raw(f"\u200bVERI\u00adFY\u00a0{ANN}\u2060"), verify()),
}


def with_attachment(size: int) -> bytes:
    message = mail(f"VERIFY {ANN}")
    message.add_attachment(bytes(size), maintype="application", subtype="octet-stream", filename="scan.bin")
    message.add_attachment(f"REJECT {ANN}", filename="other.txt")
    return bytes(message)


@pytest.mark.parametrize("case", GOOD)
def test_good_answers(case: str) -> None:
    data, expected = GOOD[case]
    found = judge(read_answer(data or with_attachment(15_000_000)), docket(), NOW)
    assert isinstance(found, Judged), found
    recorded = found.recorded
    assert (recorded.verdict.answer, recorded.run, recorded.verdict.patients) == expected
    assert recorded.verdict.recipient == "Ann"
    assert bool(found.remark) == (recorded.run == OLD_RUN)


FORWARD = mail("FYI")
FORWARD.add_attachment(mail(f"VERIFY {ANN}"))

NONE: dict[str, tuple[bytes, str]] = {
    "another recipient's code": (raw(f"VERIFY {BEN}"), "another recipient's"),
    "wrong code": (raw("VERIFY 7K3QD-0VZ9M"), "wrong"),
    "no code": (raw("VERIFY"), "lacks your code"),
    "code in what is quoted only": (raw(f"VERIFY\n\n{quoted('Ann')}"), "lacks your code"),
    "only quoted": (raw(quoted("Ann")), "begins with VERIFY or REJECT"),
    "quotation that nobody recognizes": (raw(digest_text("Ann")), "both VERIFY and REJECT"),
    "both words": (raw(f"VERIFY {ANN} 4711\nREJECT {ANN} 0815"), "both VERIFY and REJECT"),
    "with an exception": (raw(f"VERIFY {ANN}\n\nbut not 4711"), "could limit"),
    "exception in German": (raw(f"VERIFY {ANN} außer 4711"), "could limit"),
    "an objection in other words": (raw(f"VERIFY {ANN}\n\nthe MU look incorrect, I disagree"), "could limit"),
    "an objection in German": (raw(f"VERIFY {ANN}\n\nDas ist fehlerhaft"), "could limit"),
    "a question": (raw(f"VERIFY {ANN}?"), "could limit"),
    "negated": (raw(f"Do not VERIFY {ANN}"), "begins with VERIFY or REJECT"),
    "a patient elsewhere in the text": (raw(f"VERIFY {ANN} 4711\n\n0815 is for Ben"), "not certain"),
    "unknown patient": (raw(f"VERIFY {ANN} 999999999"), "not certain"),
    "prose": (raw("Please verify that the plan is fine"), "begins with VERIFY or REJECT"),
    "word in the subject only": (raw("ok", Subject=f"VERIFY {ANN}"), "begins with VERIFY or REJECT"),
    "two forms of text that differ": (
        raw(f"VERIFY {ANN}", html=f"<p>REJECT {ANN}</p>"),
        "VERIFY and REJECT",
    ),
    "hidden in HTML": (
        raw(html=f'<p>Hello</p><p style="display:none">VERIFY {ANN}</p>'),
        "begins with VERIFY or REJECT",
    ),
    "forwarded mail": (bytes(FORWARD), "begins with VERIFY or REJECT"),
    "codes of two reports": (raw(f"VERIFY {ANN} {code_of('Ann', OLD)}"), "several reports"),
    "encrypted": (
        b"From: ann@hospital.example\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB",
        "encrypted",
    ),
    "larger than is read": (raw(f"VERIFY {ANN}") + b" " * LARGEST, "larger"),
    "empty": (raw(""), "begins with VERIFY or REJECT"),
}

SILENT: dict[str, bytes] = {
    "another address": raw(f"VERIFY {ANN}", sender="mallory@evil.example"),
    "a stranger": raw("VERIFY 7K3QD-0VZ9M", sender="mallory@evil.example"),
    "two senders": b"From: ann@hospital.example, ben@hospital.example\n\nVERIFY " + ANN.encode(),
    "From twice": b"From: ann@hospital.example\nFrom: mallory@evil.example\n\nVERIFY " + ANN.encode(),
    "an address within a name": raw(f"VERIFY {ANN}", sender='"ann@hospital.example" <mallory@evil.example>'),
    "Auto-Submitted": raw(f"VERIFY {ANN}", Auto_Submitted="auto-replied"),
    "out of office": raw(f"VERIFY {ANN}", Subject="Automatische Antwort: 2 patients changed"),
    "out of office, encoded": raw(f"VERIFY {ANN}", Subject="=?utf-8?b?UsOpcG9uc2UgYXV0b21hdGlxdWUgOiB4?="),
    "mailing list": raw(f"VERIFY {ANN}", List_Id="<physics.hospital.example>"),
    "bulk": raw(f"VERIFY {ANN}", Precedence="bulk"),
    "bounce": b"From: ann@hospital.example\nContent-Type: multipart/report; boundary=x\n\n--x\n\nVERIFY "
    + ANN.encode(),
    "bounce by its envelope": b"Return-Path: <>\nFrom: ann@hospital.example\n\nVERIFY " + ANN.encode(),
    "daemon": raw(f"VERIFY {ANN}", sender="MAILER-DAEMON@hospital.example"),
    "nothing at all": b"",
    "noise": bytes(range(256)) * 50,
}


@pytest.mark.parametrize("case", NONE)
def test_no_verdict_and_the_sender_is_told_why(case: str) -> None:
    data, reason = NONE[case]
    found = judge(read_answer(data), docket(), NOW)
    assert isinstance(found, Refused), found
    assert reason in found.reason
    assert found.tell == "Ann"
    assert found.reason.endswith(".")
    assert not {"4711", "0815"} & set(found.reason.split())


@pytest.mark.parametrize("case", SILENT)
def test_no_verdict_and_no_reply_to_a_machine_or_a_stranger(case: str) -> None:
    found = judge(read_answer(SILENT[case]), docket(), NOW)
    assert isinstance(found, Refused), found
    # whoever's code was used from elsewhere hears of it at the right address
    assert found.tell == ("Ann" if case in {"another address", "an address within a name"} else None)


# --- what the vault knows already


def judged(text: str, at: Docket, now: datetime = NOW, **options: object) -> Judged | Refused:
    return judge(read_answer(raw(text, **options)), at, now)


def reason(found: Judged | Refused) -> str:
    assert isinstance(found, Refused), found
    return found.reason


def test_a_replayed_message_counts_once() -> None:
    first = judged(f"REJECT {ANN} 4711", docket())
    assert isinstance(first, Judged)
    seen = frozenset({first.recorded.message or ""})
    again = judged(f"REJECT {ANN} 4711", docket(first.recorded, seen=seen))
    assert "counted already" in reason(again)
    assert isinstance(again, Refused)
    assert again.tell is None


def test_what_is_decided_or_said_already() -> None:
    both = docket(said("Ben"), said("Cem"))
    assert "already confirmed" in reason(judged(f"VERIFY {ANN}", both))
    assert isinstance(judged(f"REJECT {ANN}", both), Judged)
    assert "already disputed" in reason(judged(f"VERIFY {ANN}", docket(said("Ben", Answer.REJECT))))
    assert "You have confirmed" in reason(judged(f"VERIFY {ANN} 4711", docket(said("Ann"))))
    assert isinstance(judged(f"VERIFY {ANN}", docket(said("Ann", Answer.VERIFY, ONE))), Judged)
    assert "rejected this already" in reason(judged(f"REJECT {ANN} 4711", docket(said("Ann", Answer.REJECT))))
    assert isinstance(judged(f"REJECT {ANN}", docket(said("Ann", Answer.REJECT, ONE))), Judged)


def test_late_answers_count_and_it_is_said() -> None:
    late = judged(f"VERIFY {ANN}", docket(), NOW + timedelta(hours=9))
    assert isinstance(late, Judged)
    assert late.recorded.late
    assert "after the deadline" in late.remark


# --- TOTP


def test_totp_is_asked_of_who_is_enrolled_or_of_all() -> None:
    enrolled = docket(enrolled=("Ann",))
    right = judged(f"VERIFY {ANN} {totp_at()}", enrolled)
    assert isinstance(right, Judged)
    assert right.recorded.totp_step == int(WRITTEN.timestamp()) // 30
    for typed in (f"{totp_at()[:3]} {totp_at()[3:]}", f"\n{totp_at()}", f"TOTP: {totp_at()} 4711"):
        assert isinstance(judged(f"VERIFY {ANN} {typed}", enrolled), Judged), typed
    assert "lacks the six digits" in reason(judged(f"VERIFY {ANN}", enrolled))
    wrong = judged(f"VERIFY {ANN} {(int(totp_at()) + 1) % 10**6:06}", enrolled)
    assert isinstance(wrong, Refused)
    assert wrong.bad_totp == "Ann"
    assert isinstance(judged(f"REJECT {ANN}", enrolled), Judged)
    assert isinstance(judged(f"VERIFY {ANN}", dataclasses.replace(enrolled, totp="off")), Judged)
    assert isinstance(judged(f"VERIFY {BEN}", enrolled, sender=ADDRESSES["Ben"]), Judged)
    assert "enrolled none" in reason(
        judged(f"VERIFY {BEN}", dataclasses.replace(enrolled, totp="required"), sender=ADDRESSES["Ben"])
    )


def test_totp_is_good_once_and_at_its_time() -> None:
    step = int(WRITTEN.timestamp()) // 30
    used = docket(enrolled=("Ann",), used={"Ann": step})
    text = f"VERIFY {ANN} {totp_at()}"
    assert "used before" in reason(judged(text, used))
    enrolled = docket(enrolled=("Ann",))
    assert "too old" in reason(judged(text, enrolled, written=WRITTEN + timedelta(minutes=5)))
    hours_later = judged(text, enrolled, NOW + timedelta(hours=5))
    assert isinstance(hours_later, Judged)  # it was written then, and waited
    future, before = NOW + timedelta(days=1), datetime(2026, 11, 24, 12, tzinfo=UTC)
    for written in (future, before):
        assert "date" in reason(judged(f"VERIFY {ANN} {totp_at(written)}", enrolled, written=written))


def test_an_objection_is_no_small_print_and_no_ruler() -> None:
    for text in (
        f"Warning: REJECT {ANN}",
        f"CAUTION: external mail\nREJECT {ANN}",
        f"*** REJECT {ANN} ***",
    ):
        found = judged(text, docket())
        assert isinstance(found, Judged), text
        assert found.recorded.verdict.answer is Answer.REJECT
    banner = raw("CAUTION: external mail", html=f"<p>REJECT {ANN}</p>")
    assert isinstance(judge(read_answer(banner), docket(), NOW), Judged)


def test_an_objection_to_two_reports_is_one_to_each_and_a_crash_between_loses_none() -> None:
    text = f"REJECT {ANN} {code_of('Ann', OLD)}"
    found = judged(text, docket())
    assert isinstance(found, Judged)
    assert (found.recorded.run, [each.recorded.run for each in found.also]) == (RUN, [OLD_RUN])
    assert {each.recorded.verdict.patients for each in (found, *found.also)} == {None}
    assert (found.remark, "an older report" in found.also[0].remark) == ("", True)
    again = judged(text, docket(found.recorded, seen=frozenset({found.recorded.message or ""})))
    assert isinstance(again, Judged)
    assert (again.recorded.run, again.also) == (OLD_RUN, ())
    third = judged(
        text, docket(found.recorded, found.also[0].recorded, seen=frozenset({found.recorded.message or ""}))
    )
    assert "counted already" in reason(third)


def test_digits_that_came_with_an_objection_are_used() -> None:
    enrolled = docket(enrolled=("Ann",))
    found = judged(f"REJECT {ANN} {totp_at()}", enrolled)
    assert isinstance(found, Judged)
    assert found.recorded.totp_step == int(WRITTEN.timestamp()) // 30
    assert isinstance(judged(f"REJECT {ANN} 000000", enrolled), Judged)


# --- hostile text


def test_nesting_parts_and_headers_without_end_are_read_in_no_time() -> None:
    nested = b"From: ann@hospital.example\n"
    for depth in range(3000):
        nested += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
    many = (
        b"From: ann@hospital.example\nContent-Type: multipart/mixed; boundary=x\n\n"
        + b"--x\n\nVERIFY\n" * 100_000
    )
    addresses = b"From: " + b"ann@hospital.example, " * 100_000 + b"\n\nVERIFY"
    brackets = b"From: " + b"<" * 200_000 + b"\n\nVERIFY"
    header = b"Content-Type: text/plain; " + b"a*0=b;" * 100_000 + b"\nFrom: ann@hospital.example\n\nVERIFY"
    wide = bytes(mail("On 1 " + "a@b " * 300_000))
    unended = (
        "<div><a ",
        "<",
        "<!--",
        "<![CDATA[",
        "<a x='",
        "&#",
        "<script>",
        "</",
        "<?",
        "<p>",
        "</script",
    )
    html = [bytes(mail(html=piece * (500_000 // len(piece)))) for piece in unended]
    start = b"From: ann@hospital.example\nContent-Type: multipart/mixed; boundary=x\n\n"
    parts = start + b"--x\n\n" * 4_000_000  # an object each: gigabytes
    depths = b"--x\n".join(
        b"Content-Type: multipart/mixed; boundary=x%d\n\n--x%d\n" % (depth, depth) for depth in range(900)
    )
    lines = b"From: ann@hospital.example\n" + depths + b"-\n" * 10_000_000  # each asked 900 times
    for data in (nested, many, addresses, brackets, header, wide, parts, lines, *html):
        started = time.monotonic()
        assert isinstance(judge(read_answer(data), docket(), NOW), Refused)
        assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a<br>b</p>", ["a", "b"]),
        ("<blockquote>q<p>q</blockquote>a", ["a"]),
        ("<div class='x gmail_quote y'>q<div>q</div>q</div><div>a</div>", ["a"]),
        ("a<hr id=stopSpelling>q</div>", ["a"]),
        ("a &amp; b</blockquote></p>c", ["a & b", "c"]),
        ("<script>VERIFY</script>a<!-- VERIFY --><img alt=VERIFY>", ["a"]),
        ("<![CDATA[x]]><p>a", ["a"]),
        (
            "<p style='font-size:0.9em'>a</p><p style='font-size:0'>b</p><p style='font-size: 0px'>c</p>",
            ["a"],
        ),
    ],
)
def test_text_of_html(html: str, text: list[str]) -> None:
    assert own_lines(text_of_html(html)) == text


MAILS: list[Callable[[str], bytes]] = [
    lambda text: raw(text.encode("utf-8", "replace").decode()),
    lambda text: raw(html=text.encode("utf-8", "replace").decode()),
    lambda text: b"From: ann@hospital.example\n" + text.encode("utf-8", "surrogatepass"),
    lambda text: text.encode("utf-8", "surrogatepass"),
]
PIECES = st.sampled_from(
    [
        "VERIFY",
        "REJECT",
        "verify",
        BEN,
        ANN[:5],
        "4711",
        "123456",
        "\n",
        "> ",
        "From: x\n",
        "wrote:",
        "<p>",
        "-- \n",
        "Content-Type: multipart/mixed; boundary=a\n\n--a\n",
        "=?utf-8?q?",
        "Date: x\n",
        "\r",
        "\0",
        "=",
        "<!--",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=20), st.sampled_from(MAILS))
def test_nothing_confirms_without_the_code_and_nothing_raises(
    pieces: list[str], made: Callable[[str], bytes]
) -> None:
    try:
        data = made(" ".join(pieces))
    except (ValueError, UnicodeError):  # what the test's own mail program refuses to send
        return
    found = read_answer(data)
    assert isinstance(found, Reply | NoVerdict)
    assert isinstance(judge(found, docket(), NOW), Refused)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    assert isinstance(judge(read_answer(data), docket(), NOW), Refused)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40).filter(lambda text: "verify" not in text.lower()))
def test_an_objection_survives_whatever_stands_around_it(noise: str) -> None:
    data = raw(f"REJECT {ANN}\n{noise.encode('utf-8', 'replace').decode()}")
    found = judge(read_answer(data), docket(), NOW)
    assert isinstance(found, Judged)
    assert found.recorded.verdict.answer is Answer.REJECT
