"""What the sender of a mail wrote: without what was quoted or forwarded, without signature and disclaimer.

Where this errs, it errs towards too much text: the vault's own mails say both VERIFY and REJECT, so one that was
quoted and not recognized contradicts itself, and is no verdict. Pure, and total over arbitrary text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LINES_READ = 400
"""Lines of a mail that are looked at: an answer stands at the top, or below what it quotes."""
LONGEST_LINE = 1000
"""Characters of a line that are looked at."""

_FROM = r"From|Von|De|Da|Van|Från|Fra|Od|Lähettäjä|Kimden|Feladó|От|Від|Από|发件人|寄件者|差出人|보낸 사람"
_ALSO = (
    r"Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet|Enviado(?: el)?|Fecha|Para|Asunto|Inviato"
    r"|Data|A|Oggetto|Verzonden|Aan|Onderwerp|Skickat|Till|Ämne|Sendt|Til|Emne|Wysłano|Do|Temat|Lähetetty"
    r"|Vastaanottaja|Aihe|Gönderildi|Kime|Konu|Отправлено|Дата|Кому|Тема|发送时间|收件人|主题|送信日時|宛先|件名"
)
_HEADER = re.compile(rf"\s*[*_]*(?:{_FROM})[*_]*\s?[::]", re.IGNORECASE)
_HEADER_GOES_ON = re.compile(rf"\s*[*_]*(?:{_ALSO})[*_]*\s?[::]", re.IGNORECASE)
_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|geschrieben|a écrit|escribió|ha scritto|scrive|schreef|skrev|escreveu|napisał|kirjoitti"
    r"|yazdı|írta|написал|написав|έγραψε|写道|написа)\b.{0,120}[::]\s*$",
    re.IGNORECASE,
)
_WRAPPED = re.compile(
    r"\s*(?:On|Am|Le|El|Il|Op|Den|Em|Dnia|W dniu|Dne|Pe|Kl|Tarihinde|В|На)\b.*[0-9]", re.IGNORECASE
)
"""The first of several lines that say who wrote what follows."""
_ADDRESS_AND_COLON = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,200}>?.{0,60}[::]\s*$")
_RULED = re.compile(r"\s*(?:[-_=*—]{3,}.*[-_=*—]{3,}|[-_=*—]{10,})\s*$")
_SIGNATURE = re.compile(r"--\s?$")
_FAREWELL = re.compile(
    r"\s*(?:(?:with |mit )?(?:kind|best|warm|many|freundlichen?|besten?|herzlichen?|viele|liebe|schöne)\s+"
    r"(?:regards|wishes|thanks|grü(?:ß|ss)en?|dank)|regards|cheers|thanks|thank you|many thanks|sincerely|yours\b.*"
    r"|mfg|vg|lg|danke|cordialement|bien (?:à vous|cordialement)|merci|saludos|un saludo|atentamente|gracias"
    r"|cordiali saluti|distinti saluti|grazie|met vriendelijke groet(?:en)?|groeten|med vänlig hälsning|mvh|hilsen)"
    r"[\s,.!]*$",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"\s*(?:sent (?:from|with|via)|get outlook for|von meinem .{0,40}gesendet|gesendet (?:von|mit|aus)"
    r"|envoyé (?:de|depuis)|enviado desde|inviato da|verstuurd vanaf|skickat från|sendt fra)\b",
    re.IGNORECASE,
)
_NOTICE = re.compile(
    r"[\s*_\[(]*(?:caution|warning|external|disclaimer|confidential|confidentiality|notice|vertraulich|achtung|extern"
    r"|this (?:e-?mail|message|communication)|the (?:information|contents?) (?:in|of|contained)"
    r"|diese (?:e-?mail|nachricht)|ce (?:message|courriel)|este (?:mensaje|correo)|questo messaggio|deze e-?mail)\b",
    re.IGNORECASE,
)

_OBJECTS = re.compile(r"\breject", re.IGNORECASE)
"""No notice and no ruler says this: whoever does, objects ("Warning: REJECT …", "*** REJECT ***")."""


def own_lines(text: str) -> list[str]:
    """Return the lines that the sender of a plain text wrote, stripped, without empty ones.

    Letters are brought into one form (NFKC), and what can't be seen is taken out.
    """
    lines = [line[:LONGEST_LINE] for line in _visible(text).split("\n")[:LINES_READ]]
    own: list[str] = []
    in_notice = False
    for number, line in enumerate(lines):
        if not line.strip():
            in_notice = False
            continue
        if _is_quoted(line) or _introduces_quoted(lines, number):
            continue
        if _ends(lines, number) or (own and _FAREWELL.match(line)):
            break
        in_notice = in_notice or bool(_NOTICE.match(line))
        if not in_notice or _OBJECTS.search(line):
            own.append(line.strip())
    return own


def _visible(text: str) -> str:
    """The text with one kind of line break, no tabs, and nothing invisible that could part a word."""
    plain = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(
        letter for letter in plain if letter == "\n" or unicodedata.category(letter) not in _UNSEEN
    )


_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith((">", "|", "»"))


def _introduces_quoted(lines: Sequence[str], number: int) -> bool:
    """Whether this line only says who wrote the lines below, which are marked as quoted one by one."""
    length = _attribution(lines, number)
    following = (line for line in lines[number + length :] if line.strip())
    return bool(length) and _is_quoted(next(following, ""))


def _ends(lines: Sequence[str], number: int) -> bool:
    """Whether the sender's own text ends before this line."""
    line = lines[number]
    if any(mark.match(line) for mark in (_SIGNATURE, _RULED, _DEVICE)):
        return not _OBJECTS.search(line)
    if _HEADER.match(line) and any(map(_HEADER_GOES_ON.match, lines[number + 1 : number + 6])):
        return True
    return bool(_attribution(lines, number))


def _attribution(lines: Sequence[str], number: int) -> int:
    """How many lines from here on say who wrote what follows ("On Tuesday … wrote:", or an address and a colon)."""
    for length in (1, 2, 3) if _WRAPPED.match(lines[number]) else (1,):
        text = " ".join(lines[number : number + length])
        if _WROTE.search(text) or _ADDRESS_AND_COLON.search(text):
            return length
    return 0
