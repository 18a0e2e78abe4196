"""Whether an answer is a verdict: the right person, the right code, a fresh TOTP, a run that waits for it. Pure.

REJECT needs the sender's address and code, and nothing else: an objection that is not quite right is still one.
Reasons name no patient and repeat nothing that was written: they go out by mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from vault.verification.answers import NoVerdict, Reply
from vault.verification.proof import CODE_LENGTH, code, totp_step
from vault.verification.quorum import Answer, State, Verdict
from vault.verification.state import Recorded, RunState

CLOCKS_APART = timedelta(hours=1)
"""How far a mail's date may lie after the vault's clock, which has no time server."""

_SHAPE = re.compile(rf"[0-9A-Za-z]{{{CODE_LENGTH}}}", re.ASCII)
_HALF = re.compile(rf"[0-9A-Za-z]{{{CODE_LENGTH // 2}}}", re.ASCII)
_TOTP = re.compile(r"[0-9]{6}", re.ASCII)
_THREE = re.compile(r"[0-9]{3}", re.ASCII)
_LOOKALIKES = str.maketrans("OIL", "011")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who may answer."""

    name: str
    address: str
    totp_secret: bytes | None = field(default=None, repr=False)
    """None for somebody who has not enrolled a phone, empty where the secret can't be read."""


@dataclass(frozen=True, slots=True)
class Docket:
    """All that a judgement goes by."""

    key: bytes = field(repr=False)
    """The vault's pseudonym key, which makes the codes."""
    recipients: Sequence[Recipient]
    runs: Sequence[RunState]
    """Newest first."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What a patient may be called in an answer, in lower case, to the pseudonym."""
    totp: str = "enrolled"
    """`[verification] totp`."""
    used: Mapping[str, int] = field(default_factory=dict)
    """The last TOTP step that each recipient has used."""
    seen: frozenset[str] = frozenset()
    """What mails are known by that brought a verdict."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what is to be said about it."""

    recorded: Recorded
    remark: str = ""
    also: tuple[Judged, ...] = ()
    """Of an objection with the codes of several runs: the same of the older ones."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No verdict."""

    reason: str
    """One sentence for whoever sent the answer."""
    tell: str | None = None
    """The recipient who is told; None when nobody is."""
    bad_totp: str | None = None
    """The recipient whose code came with a wrong TOTP: many of these are an attack."""
    counted: str | None = None
    """What the message is known by, where it brought a verdict before."""


@dataclass(frozen=True, slots=True)
class _Match:
    """A code that was found in an answer."""

    recipient: str
    run: RunState
    digest: str


def judge(reply: Reply | NoVerdict, docket: Docket, now: datetime) -> Judged | Refused:
    """Return the verdict that an answer is, or why it is none. `now` is aware."""
    sender = next(
        (each for each in docket.recipients if each.address.casefold() == reply.sender.casefold()), None
    )
    name = sender.name if sender else None
    rejects = isinstance(reply, Reply) and reply.answer is Answer.REJECT
    if _counted_before(reply, docket) and not rejects:
        return _again(reply)
    if isinstance(reply, NoVerdict):
        return Refused(reply.reason, name if reply.answerable else None)
    matches = list(_matches(reply, docket))
    own = [match for match in matches if match.recipient == name]
    if sender is None or not own:
        return _not_theirs(sender, matches)
    newest = {each.run.run.name: each for each in reversed(own)}
    if rejects:
        return _reject_all(reply, docket, sender, list(reversed(newest.values())), now)
    if len(newest) > 1:
        return Refused("The answer has the codes of several reports. Send one mail for each.", name)
    return _verify(reply, docket, sender, own[0], now)


def _counted_before(reply: Reply | NoVerdict, docket: Docket) -> bool:
    return bool(reply.message) and reply.message in docket.seen


def _again(reply: Reply | NoVerdict) -> Refused:
    return Refused("This answer has been counted already.", counted=reply.message)


def _reject_all(
    reply: Reply, docket: Docket, sender: Recipient, matches: Sequence[_Match], now: datetime
) -> Judged | Refused:
    """An objection to every report whose code it has, the newest first; what was recorded before is left."""
    found = [_reject(reply, docket, sender, match, now) for match in matches]
    judged = [each for each in found if isinstance(each, Judged)]
    if judged:
        return replace(judged[0], also=tuple(judged[1:]))
    return _again(reply) if _counted_before(reply, docket) else found[0]


def _not_theirs(sender: Recipient | None, matches: Sequence[_Match]) -> Refused:
    if sender is None:
        told = matches[0].recipient if matches else None
        return Refused(
            "An answer with your code came from an address that is not yours, and was not counted. Use your own.",
            told,
        )
    if matches:
        return Refused(
            "The code is another recipient's. Use the one in the report that was sent to you.", sender.name
        )
    return Refused(
        "The answer lacks your code, or the code is wrong. Copy it from the report that was sent to you.",
        sender.name,
    )


def _verify(
    reply: Reply, docket: Docket, sender: Recipient, match: _Match, now: datetime
) -> Judged | Refused:
    patients, strange, totps = _sorted_out(reply.words, docket, match)
    if strange or _named(reply.around, docket, match) - (patients or set()):
        what = "a patient of that report is named elsewhere in it"
        if strange:
            what = "something beside VERIFY is neither your code, nor a one-time code, nor a patient of that report"
        return Refused(f"The answer is not certain: {what}. Send the line alone.", sender.name)
    run = match.run
    about = run.patients.keys() if patients is None else patients
    undecided = [each for each in about if run.patients[each].state is State.PENDING]
    if not undecided:
        disputed = any(run.patients[each].state is State.DISPUTED for each in about)
        how = (
            "disputed: talk to each other, and answer the report of the next night"
            if disputed
            else "confirmed"
        )
        return Refused(f"Nothing is left to do: this is already {how}.", sender.name)
    if all(sender.name in run.patients[each].confirmed_by for each in undecided):
        return Refused("You have confirmed this already; somebody else has to, too.", sender.name)
    step = _totp(reply, docket, sender, run, totps, now)
    if isinstance(step, Refused):
        return step
    return _judged(reply, docket, match, patients, step, now)


def _reject(
    reply: Reply, docket: Docket, sender: Recipient, match: _Match, now: datetime
) -> Judged | Refused:
    patients, strange, totps = _sorted_out(reply.words, docket, match)
    if strange or not reply.clean:
        patients = None
    about = match.run.patients.keys() if patients is None else patients
    if all(match.recipient in match.run.patients[each].rejected_by for each in about):
        return Refused("You have rejected this already.", match.recipient)
    step = _totp(
        reply, docket, sender, match.run, totps, now
    )  # not needed; but who saw it may not VERIFY with it
    return _judged(reply, docket, match, patients, step if isinstance(step, int) else None, now)


def _judged(
    reply: Reply,
    docket: Docket,
    match: _Match,
    patients: set[str] | None,
    step: int | None,
    now: datetime,
) -> Judged:
    run, remarks = match.run, []
    late = now >= run.deadline
    if late:
        remarks.append("it came after the deadline")
    if run is not docket.runs[0]:
        remarks.append("it answers an older report, and counts for that one only")
    verdict = Verdict(match.recipient, reply.answer, None if patients is None else frozenset(patients))
    recorded = Recorded(run.run.name, match.digest, verdict, now, "mail", reply.message, step, late=late)
    return Judged(recorded, "; ".join(remarks))


def _totp(
    reply: Reply, docket: Docket, sender: Recipient, run: RunState, typed: Sequence[str], now: datetime
) -> int | Refused | None:
    """The step of the TOTP; None where none is asked for."""
    secret = sender.totp_secret
    if docket.totp == "off" or (docket.totp == "enrolled" and secret is None):
        return None
    when = reply.written or now  # a mail may lie for hours until it is read
    if trouble := _totp_trouble(secret, typed, run.run.began <= when <= now + CLOCKS_APART):
        return Refused(trouble, sender.name)
    step = totp_step(secret or b"", typed[0], when.astimezone(UTC), docket.used.get(sender.name))
    if step is None:
        return Refused(
            "The six digits are wrong, too old, or were used before. Send the answer again with new ones.",
            sender.name,
            bad_totp=sender.name,
        )
    return step


def _totp_trouble(secret: bytes | None, typed: Sequence[str], dated_well: bool) -> str:
    """Why a TOTP can't be checked; empty where it can."""
    if secret is None:
        return "This site asks for a one-time code from a phone, and you have enrolled none: `vault verify enrol`."
    if not secret:
        return (
            "The secret of your one-time codes can't be read on the vault, so nobody can VERIFY under your name by "
            "mail. Tell whoever looks after the vault."
        )
    if len(typed) != 1:
        return (
            "The answer lacks the six digits that your phone shows. Send it again, with your code and these."
        )
    if not dated_well:
        return (
            "The mail's date lies before the report or in the future, so its one-time code can't be checked. Look at "
            "this computer's clock and the vault's."
        )
    return ""


def _matches(reply: Reply, docket: Docket) -> Iterator[_Match]:
    """Every right code in the answer, of the newest run first; of a REJECT, wherever it stands."""
    words = reply.words + (reply.around if reply.answer is Answer.REJECT else ())
    typed = {_plain(word) for word in words if _SHAPE.fullmatch(word.replace("-", ""))}
    typed |= {_plain(one + two) for one, two in pairwise(words) if _halves(one, two)}
    if not typed:
        return
    for run in docket.runs:
        for version in reversed(run.run.versions):
            for recipient in docket.recipients:
                right = code(docket.key, recipient.name, run.run.name, version.digest)
                if _plain(right) in typed:
                    yield _Match(recipient.name, run, version.digest)


def _sorted_out(
    words: Sequence[str], docket: Docket, match: _Match
) -> tuple[set[str] | None, bool, list[str]]:
    """The patients that are named (None for all), whether anything can't be told, and what may be TOTPs."""
    right = _plain(code(docket.key, match.recipient, match.run.run.name, match.digest))
    named: set[str] = set()
    totps: list[str] = []
    strange = False
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        after = waiting[0] if waiting else ""
        if pseudonyms := _named([word], docket, match):
            named |= pseudonyms
        elif _plain(word) == right or word == match.run.run.name:
            continue
        elif _halves(word, after) and _plain(word + after) == right:
            waiting.pop(0)
        elif _TOTP.fullmatch(word):
            totps.append(word)
        elif _THREE.fullmatch(word) and _THREE.fullmatch(after):
            totps.append(word + waiting.pop(0))
        else:
            strange = True
    return named or None, strange, totps


def _named(words: Sequence[str], docket: Docket, match: _Match) -> set[str]:
    """Pseudonyms of the run's patients among the words."""
    found = {docket.names.get(word.casefold(), "") for word in words}
    return found & match.run.patients.keys()


def _halves(one: str, two: str) -> bool:
    return bool(_HALF.fullmatch(one) and _HALF.fullmatch(two))


def _plain(typed: str) -> str:
    return typed.replace("-", "").upper().translate(_LOOKALIKES)
