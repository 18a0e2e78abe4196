"""How every picture looks, and how it becomes bytes: the same picture is the same bytes, today and next year.

Figures are made without pyplot and outside of anybody's matplotlib settings. Before is blue and dashed, after is
vermilion and solid, so that neither colour-blindness nor a grey printer takes the difference away (palette of Okabe
and Ito).
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

BEFORE, AFTER = "#0072b2", "#d55e00"
BEFORE_ON_IMAGE, AFTER_ON_IMAGE = "#6cc5f5", "#ff9d3b"
"""The same on a dark image."""

DASHES = (0, (4, 2))
"""The line of what was before."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
GREY = "#6e6e6e"

DPI = 144
WIDTH = 7.4
"""Inches: the text width of a page, and 1066 pixels."""

_RULER: Any = RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]
"""What measures text as it will be drawn."""

_RIGHT, _SMALLEST = 0.985, 5.5
"""Where lines of text end, as a share of the width; points below which they are cut and not made smaller."""

_LONGEST = 40
_HUNDREDTH = 0.01

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it is, so that nobody measures every label to find out
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#404040",
    "axes.grid": False,
    "grid.color": "#d0d0d0",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "text.usetex": False,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "path.simplify": True,
    "svg.hashsalt": "vault",
}


_ELSEWHERE = ("backend", "backend_fallback", "interactive", "toolbar", "webagg.", "tk.", "date.", "timezone")
_DEFAULTS: dict[Any, Any] = {
    key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_ELSEWHERE)
}
"""Matplotlib's own settings, but for those of windows, which no picture has."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style, whatever is configured on this computer; a letter that the font lacks is no warning."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mpl.rcParams.update(_DEFAULTS | _STYLE)
        yield


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def write(drawn: Figure, x: float, y: float, text: str, **look: Any) -> None:
    """Lines of text from `x` to the figure's right edge: smaller where they would not fit, and then visibly cut."""
    room = (_RIGHT - x) * drawn.get_figwidth() * 72
    size = look.pop("fontsize", _STYLE["font.size"])
    lines = text.split("\n")
    while size > _SMALLEST and max(_wide(line, size, look) for line in lines) > room:
        size -= 0.25
    drawn.text(x, y, "\n".join(_cut(line, room, size, look) for line in lines), fontsize=size, **look)


def _wide(line: str, size: float, look: Mapping[str, Any]) -> float:
    """The width of a line, in points."""
    font = FontProperties(size=size, weight=look.get("weight", "normal"))
    return float(_RULER.get_text_width_height_descent(line, font, ismath=False)[0]) * 72 / DPI


def _cut(line: str, room: float, size: float, look: Mapping[str, Any]) -> str:
    wide = _wide(line, size, look)
    while wide > room:
        line = f"{line[: min(int(len(line) * room / wide), len(line) - 2)]}…"
        wide = _wide(line, size, look)
    return line


def png(drawn: Figure) -> bytes:
    """The figure as PNG, without a date or a version in it."""
    data = io.BytesIO()
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.print_png(data, metadata={"Software": None})
    canvas.renderer = None  # its pixels; what refers to itself is left to the collector
    return data.getvalue()


def plain(text: str, longest: int = _LONGEST) -> str:
    """Text of somebody else's for a picture: one line, no control or direction characters, not longer than fits."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    kept = " ".join(kept.split())
    return kept if len(kept) <= longest else f"{kept[: longest - 1]}…"


def degrees(value: float) -> str:
    """An angle in a sentence; a question mark where the plan does not say it."""
    return "?" if value != value else f"{value:.1f}".removesuffix(".0") + "°"  # noqa: PLR0124 - NaN


def millimetres(value: float, places: int = 1) -> str:
    """A length or position with a true minus sign."""
    text = f"{value:.{places}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.removeprefix("-")


def places(by: float) -> int:
    """Decimals in which a move shows as one."""
    return 1 if abs(by) >= 0.1 or not by else 2 if abs(by) >= _HUNDREDTH else 4
