"""`vault calibrate`: which attributes this ROIS changes by itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import printable_lines

if TYPE_CHECKING:
    from vault.calibrate import Calibration


@click.command()
@click.argument("patient")
@click.pass_obj
def calibrate(context: Context, patient: str) -> None:
    """Retrieve PATIENT twice and list every attribute that differed.

    Choose a patient whose data nobody touches meanwhile. The list is ready to paste into vault.toml, where
    each entry wants a reason: an attribute named there is no longer compared.
    """
    import hooks
    from vault.calibrate import calibrate as run_calibration

    config = context.config()
    result = run_calibration(
        config,
        context.patient_id(patient),
        now=datetime.now(UTC),
        progress=context.progress(),
        events=hooks.plugins(config),
    )
    if context.json:
        context.emit(asdict(result))
    else:
        click.echo(printable_lines(_text(result)), nl=False)
    context.exit(3 if result.failed or result.only_once else 0)


def _text(result: Calibration) -> str:
    differing = sum(entry.objects for entry in result.volatile.values())
    lines = [
        f"{result.objects} objects came twice: {result.identical} with the same bytes, "
        f"{result.reencoded} re-encoded with the same content."
    ]
    lines += [f"FAILED {failure.subject} {failure.reason}" for failure in result.failed]
    lines += [f"came one time only: {path}" for path in result.only_once]
    if not differing:
        lines.append("No attribute differed: nothing needs to be added to the configuration.")
        return "\n".join(lines) + "\n"
    lines += [
        "These attributes differed. Add those that mean nothing to vault.toml, each with the reason:",
        "",
    ]
    for entry in sorted(result.volatile.values(), key=lambda entry: -entry.objects):
        lines += ["[[normal.volatile]]", f'attribute = "{_toml(entry.attribute)}"']
        lines.append(
            f'reason = "differed in {entry.objects} of {result.objects} objects retrieved twice in a row"'
        )
        lines += [f"# {_short(old)} -> {_short(new)}" for old, new in entry.examples]
        lines.append("")
    return "\n".join(lines)


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _short(value: str | None) -> str:
    return "(absent)" if value is None else value if len(value) <= 60 else f"{value[:57]}..."
