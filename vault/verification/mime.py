"""A mail as it came, hostile until read: who sent it, whether a person did, and the text that was written.

Bounded in every direction; what can't be read is said as a reason, never raised.
"""

from __future__ import annotations

import codecs
import email
import email.message
import email.policy
import email.utils
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

LARGEST = 25 << 20
"""Bytes of the largest mail that is read."""
_BEGINNING = 64 << 10
"""Bytes that are read of a larger one."""
MOST_TEXT = 1 << 20
"""Bytes of text that are read of it."""
MOST_HEADERS = 256 << 10
"""Bytes of all headers together."""
MOST_PARTS = 200
"""Parts of a mail that are looked at."""
MOST_LINES = 500_000
"""Lines of a mail that is read: more than `LARGEST` has in base 64. Short ones cost time."""
MOST_RULES = 5000
"""Lines of it that could part it: each costs memory."""
MOST_NESTED = 50
"""Parts of it that hold parts."""
LONGEST_HEADER = 2000
"""Characters of a header that are looked at."""

_HEADERS_END = re.compile(rb"\n\r?\n")
_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
"""Encodings of Python's that no mail has, some of them slow."""

_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:automatic reply|auto(?:matic|mated)?[- ]?(?:reply|response)|out of (?:the )?office|automatische antwort"
    r"|abwesen|réponse automatique|respuesta automática|risposta automatica|automatisch antwoord|autosvar"
    r"|automatiskt svar"
    r"|undeliver|delivery (?:status|failure|has failed)|mail delivery|returned mail|failure notice|unzustellbar"
    r"|read:|gelesen:|lu ?:)",
    re.IGNORECASE,
)
_BULK = {"bulk", "junk", "list", "auto_reply"}
_AUTOREPLY = ("X-Autoreply", "X-Autorespond", "X-Autoresponse")
_ROBOT = re.compile(
    r"(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)(?:[+@-]|$)", re.IGNORECASE
)


class _Bounded(email.policy.Compat32):
    """The library's plain policy, which takes minutes for a header of a megabyte."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """Keep no more of a header than is looked at."""
        name, value = super().header_source_parse(sourcelines)
        return name, value[: LONGEST_HEADER + 1]


_POLICY = _Bounded()


@dataclass(frozen=True, slots=True)
class Mail:
    """What is read of a mail."""

    sender: str
    """The one address in From, in lower case."""
    message: str
    """SHA-256 of the Message-ID, or of the whole mail where there is none: what a replayed mail is known by."""
    written: datetime | None
    """When, as the mail says itself."""
    plain: str
    html: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A mail that is no answer, whatever stands in it."""

    reason: str
    """One sentence, for its sender too."""
    answerable: bool = True
    """False where a reply would go to a machine, or to nobody."""
    sender: str = ""
    message: str = ""


def read_mail(raw: bytes, *, whole: bool = True) -> Mail | Unread:
    """Read a mail, or its beginning where it is not `whole`. Never raises for what a mail holds."""
    if len(raw) > LARGEST:
        raw, whole = raw[:_BEGINNING], False
    try:
        if not _HEADERS_END.search(raw, 0, MOST_HEADERS) and len(raw) > MOST_HEADERS:
            return Unread("The mail is malformed, and can't be read.", answerable=False)
        if _is_bomb(raw):
            raw, whole = raw[:_BEGINNING], False
        if _is_bomb(raw):
            return Unread("The mail is malformed, and can't be read.", answerable=False)
        message = email.message_from_bytes(raw, policy=_POLICY)
        return _read(message, raw, whole=whole)
    except (
        RecursionError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        OverflowError,
    ):
        # what the library raises at mail that breaks its rules, some of it by oversight
        return Unread("The mail is malformed, and can't be read.", answerable=False)


def _is_bomb(raw: bytes) -> bool:
    """Whether the library would take minutes or gigabytes for it: it makes an object of each part, and asks each line
    whether it ends any of the parts around it."""
    breaks = raw.count(b"\n") + raw.count(b"\r")
    rules = raw.count(b"\n--") + raw.count(b"\r--")
    nested = len(re.findall(rb"multipart/", raw, re.IGNORECASE))
    return breaks > 2 * MOST_LINES or rules > MOST_RULES or nested > MOST_NESTED


def message_hash(raw: bytes, message_id: str) -> str:
    """Return what a mail is known by when it is seen again."""
    return hashlib.sha256(message_id.strip().encode("utf-8", "surrogateescape") or raw).hexdigest()


def _read(message: email.message.Message, raw: bytes, *, whole: bool) -> Mail | Unread:
    if automatic := _automatic(message):
        return Unread(f"{automatic} A person has to answer.", answerable=False)
    sender = _sender(message)
    if sender is None:
        return Unread("The mail does not say clearly who sent it.", answerable=False)
    if _ROBOT.match(sender):
        return Unread("This mail is from a machine. A person has to answer.", answerable=False)
    identity = message_hash(raw, _header(message, "Message-ID"))
    if not whole:
        why = f"The mail is larger than {LARGEST >> 20} MB. Answer without what is attached."
        return Unread(why, True, sender, identity)
    if message.get_content_type() in {"application/pkcs7-mime", "application/x-pkcs7-mime"} or (
        message.get_content_type() == "multipart/encrypted"
    ):
        return Unread(
            "The answer is encrypted, and the vault has no key for it. Send it unencrypted.",
            True,
            sender,
            identity,
        )
    texts = {"text/plain": "", "text/html": ""}
    for part in _text_parts(message):
        kind = part.get_content_type()
        if len(texts[kind]) < MOST_TEXT:
            texts[kind] += _text(part)[: MOST_TEXT - len(texts[kind])] + "\n"
    return Mail(
        sender,
        identity,
        _date(message),
        texts["text/plain"],
        texts["text/html"],
    )


def _header(message: email.message.Message, name: str) -> str:
    return str(message.get(name, ""))[:LONGEST_HEADER]


def _automatic(message: email.message.Message) -> str:
    """Why no person wrote this; empty where nothing says so."""
    submitted = _header(message, "Auto-Submitted").partition(";")[0].strip().lower()
    signs = {
        "This mail was sent by a machine (Auto-Submitted).": submitted not in ("", "no"),
        "This mail was sent in bulk (Precedence).": _header(message, "Precedence").strip().lower() in _BULK,
        "This mail came through a mailing list.": any(map(message.get, ("List-Id", "List-Post"))),
        "This mail is a report of the mail system.": message.get_content_type() == "multipart/report"
        or _header(message, "Return-Path").strip() == "<>",
        "This mail is an automatic reply.": any(map(message.get, _AUTOREPLY))
        or _AUTOMATIC_SUBJECT.match(_decoded(_header(message, "Subject"))),
    }
    return next((sentence for sentence, holds in signs.items() if holds), "")


def _decoded(header: str) -> str:
    from email.header import decode_header  # noqa: PLC0415

    pieces = []
    for data, charset in decode_header(header):
        pieces.append(data if isinstance(data, str) else decoded(data, charset or "ascii"))
    return "".join(pieces)


def _sender(message: email.message.Message) -> str | None:
    """The address in From; None where there is none, or more than one."""
    headers = [str(value) for value in message.get_all("From", [])]
    if len(headers) != 1 or len(headers[0]) > LONGEST_HEADER:
        return None
    addresses = [address for _, address in email.utils.getaddresses(headers)]
    if len(addresses) != 1 or addresses[0].count("@") != 1:
        return None
    return addresses[0].strip().lower()


def _date(message: email.message.Message) -> datetime | None:
    try:
        written = email.utils.parsedate_to_datetime(_header(message, "Date"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if written.tzinfo is None:  # "-0000": UTC, of a sender who does not say where
        written = written.replace(tzinfo=UTC)
    try:
        return written.astimezone(UTC)
    except OverflowError:
        return None


def _text_parts(message: email.message.Message) -> Iterator[email.message.Message]:
    """The parts that show as the mail's text: nothing attached, nothing of a mail within the mail."""
    waiting, seen = [message], 0
    while waiting and seen < MOST_PARTS:
        part = waiting.pop()
        seen += 1
        kind = part.get_content_type()
        payload = part.get_payload()
        if kind.startswith("multipart/") and isinstance(payload, list):
            waiting += [
                each for each in reversed(payload[:MOST_PARTS]) if isinstance(each, email.message.Message)
            ]
        elif kind in {"text/plain", "text/html"} and not _is_attached(part):
            yield part


def _is_attached(part: email.message.Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _text(part: email.message.Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    return decoded(data[:MOST_TEXT], str(part.get_content_charset() or "utf-8"))


def decoded(data: bytes, charset: str) -> str:
    """Decode with a charset that a stranger names; total."""
    try:
        name = codecs.lookup(charset).name.replace("-", "_")
        if name not in _NO_TEXT:
            return data.decode(charset, "replace")
    except (LookupError, ValueError, UnicodeError, TypeError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
