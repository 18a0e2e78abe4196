"""From a mail to the answer in it: VERIFY or REJECT, and what stands beside the word.

An answer begins a line with the word; behind it, or on lines of their own below, stand the code, a TOTP and the
patients that it is about. VERIFY must be certain: nothing else that the sender wrote may limit it. REJECT need not:
the word and the right code anywhere in the sender's own text are an objection. Whose code it is, `judge` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.verification.html_text import text_of_html
from vault.verification.mime import Mail, Unread, read_mail
from vault.verification.own_text import own_lines
from vault.verification.quorum import Answer

MOST_WORDS = 500
"""Words of a text that are looked at."""

_COMMAND = re.compile(r"[\W_]*(VERIFY|REJECT)\b(.*)", re.IGNORECASE)
_VERIFY = re.compile(r"\bverif(?:y|ied|ies|ying)\b", re.IGNORECASE)
_REJECT = re.compile(r"\breject\w*", re.IGNORECASE)
_LABEL = re.compile(
    r"\s*(?:codes?|totp|otp|patients?|patienten|one-time code|einmalcode)\b\s*[:=]?", re.IGNORECASE
)
_CODE_OR_TOTP = re.compile(r"(?:[0-9A-Za-z]{5}-?[0-9A-Za-z]{5}|[0-9]{6})")
_LIMITS = re.compile(
    r"\b(?:not|n't|no|never|don'?t|doesn'?t|isn'?t|can'?t|cannot|won'?t|except|excluding|but|however|unless|wait|hold"
    r"|wrong|stop|only|unsure|doubt\w*|disagree\w*|incorrect\w*|error\w*|mistake\w*|problem\w*|refus\w*|unclear|suspicious"
    r"|strange|odd|missing|cancel\w*|fehl\w*|unklar\w*|verdächtig\w*|seltsam\w*|ablehn\w*|abgelehnt|widersprech\w*|nicht|kein\w*|nein|außer|ausser|aber|nur|falsch|warte\w*|zweifel|ohne|non|pas|sauf|mais"
    r"|seulement|faux|excepto|pero|sólo|solo|mal|tranne|ma|niet|geen|behalve|maar|inte|ikke|men|nie|oprócz|ale)\b|\?",
    re.IGNORECASE,
)
"""Words that could mean that VERIFY is not meant, or not for everybody."""

_EDGES = ".,;:!()[]{}<>\"'*_`„“”«»"

HOW = "Begin the mail with one line: VERIFY or REJECT, then the code of your report"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a mail says, before anybody has judged whether it may."""

    answer: Answer
    words: tuple[str, ...]
    """What stands with the word: code, TOTP and patients, in any order."""
    around: tuple[str, ...]
    """What else the sender wrote."""
    sender: str
    message: str
    """What a replayed mail is known by."""
    written: datetime | None
    """When, as the mail says itself."""
    clean: bool = True
    """False for a REJECT that stands within other text: then it is about the whole run."""


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """A mail that is no verdict, and why."""

    reason: str
    """One sentence, for its sender."""
    sender: str = ""
    message: str = ""
    answerable: bool = True
    """False where a reply would go to a machine, to nobody, or twice."""


def read_answer(raw: bytes, *, whole: bool = True) -> Reply | NoVerdict:
    """Return what a mail answers; `raw` is its beginning where it is not `whole`.

    Total: whatever is not certain is a `NoVerdict` with its reason.
    """
    mail = read_mail(raw, whole=whole)
    if isinstance(mail, Unread):
        return NoVerdict(mail.reason, mail.sender, mail.message, answerable=mail.answerable)
    plain = own_lines(mail.plain)
    html = own_lines(text_of_html(mail.html)) if mail.html else []
    if not plain:
        return _read(mail, html)
    found = _read(mail, plain)
    if html:
        other = _read(mail, html)
        if isinstance(found, NoVerdict):  # a gateway's banner may be the only plain text
            return other if isinstance(other, Reply) and other.answer is Answer.REJECT else found
        if isinstance(other, Reply) and other.answer is not found.answer:
            return _none(mail, "The mail says VERIFY and REJECT, in its two forms of text.")
    return found


def _read(mail: Mail, lines: Sequence[str]) -> Reply | NoVerdict:
    commands = [(number, match) for number, line in enumerate(lines) if (match := _COMMAND.fullmatch(line))]
    text = "\n".join(lines)
    if _REJECT.search(text):
        said = {match[1].upper() for _, match in commands}
        if "VERIFY" in said or (not said and _VERIFY.search(text)):
            return _none(
                mail, "The mail says both VERIFY and REJECT. Send one mail for each, with the patients named."
            )
        return _reject(mail, lines, commands)
    if not commands:
        return _none(mail, "No line of the mail begins with VERIFY or REJECT.")
    return _verify(mail, lines, commands)


def _verify(mail: Mail, lines: Sequence[str], commands: list[tuple[int, re.Match[str]]]) -> Reply | NoVerdict:
    words, used = _beside(lines, commands)
    rest = [line for number, line in enumerate(lines) if number not in used]
    if any(map(_LIMITS.search, [*rest, *words])):
        return _none(mail, "Beside VERIFY the mail holds words that could limit it. Send the line alone.")
    return Reply(Answer.VERIFY, words, _words(rest), mail.sender, mail.message, mail.written)


def _reject(mail: Mail, lines: Sequence[str], commands: list[tuple[int, re.Match[str]]]) -> Reply | NoVerdict:
    words, used = _beside(lines, commands)
    rest = [line for number, line in enumerate(lines) if number not in used]
    return Reply(
        Answer.REJECT,
        words,
        _words(rest),
        mail.sender,
        mail.message,
        mail.written,
        clean=bool(commands) and not any(map(_REJECT.search, rest)),
    )


def _beside(
    lines: Sequence[str], commands: list[tuple[int, re.Match[str]]]
) -> tuple[tuple[str, ...], set[int]]:
    """What stands behind the words and on the lines that belong to them; and which lines these are."""
    words: list[str] = []
    used = set()
    for number, match in commands:
        used.add(number)
        words += _words([match[2]])
        for below in range(number + 1, len(lines)):
            label = _LABEL.match(lines[below])
            more = _words([lines[below][label.end() :] if label else lines[below]])
            if not label and not all(map(_CODE_OR_TOTP.fullmatch, more)):
                break
            used.add(below)
            words += more
    return tuple(words[:MOST_WORDS]), used


def _words(lines: Sequence[str]) -> tuple[str, ...]:
    found = (word.strip(_EDGES) for line in lines for word in re.split(r"[\s,;]+", line))
    words = [word for word in found if word and not _LABEL.fullmatch(word)]
    return tuple(words[:MOST_WORDS])


def _none(mail: Mail, what: str) -> NoVerdict:
    return NoVerdict(f"{what} {HOW}.", mail.sender, mail.message)
