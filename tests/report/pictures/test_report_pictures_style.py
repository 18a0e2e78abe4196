from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from vault.report.pictures.style import WIDTH, drawing, figure, png, write


def written(text: str, **look: object) -> tuple[Text, float, Figure]:
    """A text as it was put into a figure, and where its right end lies as a share of the width."""
    with drawing():
        canvas = figure(1.0)
        write(canvas, 0.075, 0.5, text, **look)
        png(canvas)
        (found,) = canvas.texts
        end = found.get_window_extent(canvas.canvas.get_renderer()).x1  # type: ignore[attr-defined]
    return found, end / (WIDTH * canvas.dpi), canvas


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_a_line_that_does_not_fit_is_smaller_and_then_visibly_cut(weight: str) -> None:
    """The couch's angle stood beyond the edge of the picture, as if nobody had turned the couch."""
    short, _, _ = written("couch 0°", fontsize=9, weight=weight)
    assert (short.get_text(), short.get_fontsize()) == ("couch 0°", 9)
    line = "beam 1 A long name, control point 0 of 0 to 97 · gantry 179° → 295° · collimator 0° → 5°"
    longer, end, _ = written(f"{line} · couch 0° → 10°", fontsize=9, weight=weight)
    assert longer.get_text().endswith("couch 0° → 10°")
    assert longer.get_fontsize() < 9 or weight == "normal"
    assert end <= 1.0
    cut, end, _ = written(line * 3, fontsize=9, weight=weight)
    assert cut.get_text().endswith("…")
    assert end <= 1.0
    both, end, _ = written(f"short\n{line * 3}", fontsize=8, weight=weight)
    assert both.get_text().startswith("short\n")
    assert end <= 1.0
