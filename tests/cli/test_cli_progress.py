"""Bars appear on a terminal and nowhere else."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.progress import Bars, Quiet, progress


def test_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as shown:
        assert isinstance(shown, Quiet)
        shown.start("Retrieving", 3)
        shown.advance()
        shown.stop()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [2, None])
def test_bars_on_a_terminal_are_gone_in_the_end(total: int | None) -> None:
    terminal = io.StringIO()
    with Bars(Console(file=terminal, force_terminal=True, width=100)) as shown:
        shown.advance()
        shown.start("Retrieving [1]", total)
        shown.advance(2)
        shown.start("Comparing")
        shown.stop()
        shown.stop()
    assert "Retrieving [1]" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")
