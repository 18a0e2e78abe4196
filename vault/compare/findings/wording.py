"""How a document's text changed, by the words: of a letter in which one number differs, the number is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from vault.compare.findings.quantities import apart, shown
from vault.model import AttributeChange

SHOWN = 3
"""Places that are told word by word; the rest are counted."""

WORDS = 400
"""Words of a line that are compared one by one; of longer ones it is told how they begin."""

_AROUND = 2  # words before a difference, for its place to be found


def told(lines: Sequence[AttributeChange]) -> str:
    """`lines of text: 2 changed, 1 added (Bolus: none. → 5 mm on the scar.; added: Check daily.)`."""
    kinds = {
        "changed": sum(one.old is not None and one.new is not None for one in lines),
        "added": sum(one.old is None for one in lines),
        "removed": sum(one.new is None for one in lines),
    }
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    places = [place for one in lines[: SHOWN + 1] for place in _places(one)]
    more = "; …" if len(places) > SHOWN or len(lines) > SHOWN else ""
    return f"lines of text: {counts} ({'; '.join(places[:SHOWN])}{more})"


def _places(line: AttributeChange) -> Iterator[str]:
    """Where one line differs."""
    if line.old is None or line.new is None:
        yield f"{'added' if line.old is None else 'removed'}: {shown(line.new or line.old)}"
        return
    old, new = (value.strip('"').split() for value in (line.old, line.new))
    if max(len(old), len(new)) > WORDS or old == new:
        yield " → ".join(apart(line.old, line.new))
        return
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        before = " ".join(old[max(i1 - _AROUND, 0) : i1])
        was, now = apart(*(" ".join(words) or "nothing" for words in (old[i1:i2], new[j1:j2])))
        yield f"{before} {was} → {now}".strip()
