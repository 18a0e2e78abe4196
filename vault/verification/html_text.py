"""The text of an HTML mail, without what it quotes: in one pass over whatever a stranger calls HTML.

The standard library's parser takes minutes for a megabyte of `<!--`. This one never looks at a character twice: where
a tag or a comment does not end, the text ends.
"""

from __future__ import annotations

import html
import re

LONGEST_TAG = 4096
"""Characters of a tag whose attributes are looked at."""
DEEPEST = 64
"""Open elements, innermost first, among which a closing tag finds its own."""

_RAW = {"script", "style", "title", "textarea", "xmp"}
"""Elements whose content is no markup."""
_LEFT_OUT = {"head", "template", "blockquote", "object", "svg", "select"}
_BREAKS = {"p", "div", "br", "tr", "li", "ul", "ol", "table", "hr", "h1", "h2", "h3", "h4", "pre", "section"}
_VOID = {"br", "hr", "img", "input", "meta", "link", "col", "area", "base", "wbr", "source", "embed"}

_QUOTES = re.compile(
    r"gmail_quote|gmail_attr|gmail_signature|moz-cite-prefix|moz-signature|yahoo_quoted|protonmail_quote"
    r"|protonmail_signature|zmail_extra|tutanota_quote"
)
_FROM_HERE_ON = re.compile(r"divRplyFwdMsg|appendonsend|stopSpelling|mail-editor-reference-message")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_TAG_END = re.compile(r"(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_ATTRIBUTE = re.compile(
    r"(class|id|style|hidden)\b(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?", re.IGNORECASE
)


def text_of_html(markup: str) -> str:
    """Return the text as lines; scripts, styles, what is hidden and what is quoted are no text."""
    return _Reader(markup).text()


class _Reader:
    """One pass over a mail's HTML."""

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._pieces: list[str] = []
        self._open: list[tuple[str, bool]] = []
        """Elements around the current place, and whether each begins something that is left out."""
        self._left_out = 0

    def text(self) -> str:
        """Read to the end, or to where the quoted mail begins."""
        markup, place = self._markup, 0
        while place >= 0:
            bracket = markup.find("<", place)
            self._add(markup[place:bracket] if bracket >= 0 else markup[place:])
            if bracket < 0:
                break
            place = self._markup_at(bracket)
        return "".join(self._pieces)

    def _add(self, raw: str) -> None:
        if raw and not self._left_out:
            self._pieces.append(html.unescape(raw).replace("\n", " ").replace("\r", " "))

    def _markup_at(self, start: int) -> int:
        """Read what begins with a bracket; returns where the text goes on, -1 where it does not."""
        markup = self._markup
        for opening, closing in (("<!--", "-->"), ("<!", ">"), ("<?", ">")):
            if markup.startswith(opening, start):
                found = markup.find(closing, start + len(opening))
                return found + len(closing) if found >= 0 else -1
        tag = _TAG.match(markup, start)
        if tag is None:
            self._add("<")
            return start + 1
        return self._tag_at(tag)

    def _tag_at(self, tag: re.Match[str]) -> int:
        """Read a tag; returns as `_markup_at` does."""
        markup = self._markup
        end = _TAG_END.match(markup, tag.end())
        if end is None:
            return -1
        name = tag[2].lower()
        if name in _BREAKS:
            self._add_break()
        if tag[1]:
            self._close(name)
            return end.end()
        if not self._enter(name, markup[tag.end() : end.end()][:LONGEST_TAG]):
            return -1
        return self._after_raw(name, end.end()) if name in _RAW else end.end()

    def _add_break(self) -> None:
        if not self._left_out:
            self._pieces.append("\n")

    def _enter(self, name: str, attributes: str) -> bool:
        """Enter an element. False where the quoted mail begins."""
        found = {
            match[1].lower(): match[2] or match[3] or match[4] or ""
            for match in _ATTRIBUTE.finditer(attributes)
        }
        named = f"{found.get('class', '')} {found.get('id', '')}"
        if _FROM_HERE_ON.search(named):
            return False
        if name not in _VOID and name not in _RAW:
            hidden = "hidden" in found or bool(_HIDDEN.search(found.get("style", "")))
            left_out = name in _LEFT_OUT or hidden or bool(_QUOTES.search(named))
            self._open.append((name, left_out))
            self._left_out += left_out
        return True

    def _close(self, name: str) -> None:
        for number in range(len(self._open) - 1, max(len(self._open) - DEEPEST, 0) - 1, -1):
            if self._open[number][0] == name:
                self._left_out -= sum(left_out for _, left_out in self._open[number:])
                del self._open[number:]
                return

    def _after_raw(self, name: str, start: int) -> int:
        """Where an element ends whose content is no markup; -1 where it does not end."""
        end = re.compile(rf"</{name}[^>]*+>", re.IGNORECASE).search(self._markup, start)
        return end.end() if end else -1
