"""From a mail's content to the HTML that Outlook draws and the text that everything reads."""

from __future__ import annotations

import textwrap
from functools import cache
from importlib import resources

import css_inline
from jinja2 import Environment, FunctionLoader, StrictUndefined

from vault.compare.values import printable
from vault.mail.content import Content
from vault.report.visible import FROM_THE_RIGHT, LONGEST, visible

WIDTH = 76
"""Characters of a line of text: what a mail program quotes without wrapping."""

_MARK = "\u200e"
"""Ends what is written from the right, so that it turns nothing behind it (U+200E, left-to-right mark)."""

FOLDER = "templates"


def html(content: Content) -> str:
    """A whole document: tables and inlined styles only, since Outlook draws with Word, and no image or link out."""
    page = _environment(escape=True).get_template("mail.html.j2").render(content=content)
    return _inliner().inline(page)


def text(content: Content) -> str:
    """The same as plain text."""
    made = _environment(escape=False).get_template("mail.txt.j2").render(content=content)
    lines = [line.rstrip() for line in made.strip().splitlines()]
    kept = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return "\n".join(kept) + "\n"


def _wrapped(said: str, indent: int = 0, first: str = "") -> str:
    """Text in lines of `WIDTH`, the first begun by `first`, the others indented; cut where HTML cuts it, too."""
    margin = " " * indent
    more = f"… {len(said) - LONGEST} more characters" if len(said) > LONGEST else ""
    shown = FROM_THE_RIGHT.sub(f"\\g<0>{_MARK}", printable(said[:LONGEST]))
    return textwrap.fill(
        shown + more,
        WIDTH,
        initial_indent=first or margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


@cache
def _environment(*, escape: bool) -> Environment:
    made = Environment(
        loader=FunctionLoader(_template),
        autoescape=escape,  # noqa: S701  # plain text has nothing to escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["visible"] = visible
    made.filters["wrapped"] = _wrapped
    return made


def _template(name: str) -> str:
    return resources.files("vault.mail").joinpath(FOLDER, name).read_text("utf-8")


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
