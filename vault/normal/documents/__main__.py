"""The process that takes documents apart: a JSON line names a file, one answers with what it says.

It is run by its path, on its own: of the vault it knows this package. It can write no file, and is bounded in
memory, in processor time and in what it may answer.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[3])]  # started with -I, which leaves the path bare

from vault.normal.documents.formats import format_of  # noqa: E402
from vault.normal.documents.items import TooMuchError, UnreadableError  # noqa: E402

MEMORY = 2 << 30
"""Bytes of address space."""

SECONDS = 25
"""Processor seconds for one document."""

ANSWER_MAXIMUM = 8 << 20
"""Characters that a document may say."""

TOO_MUCH = "it says or unpacks to more than the vault compares"


def main() -> None:
    """Answer until standard input ends."""
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS)
        sys.stdout.write(json.dumps(answer(Path(json.loads(line)))) + "\n")
        sys.stdout.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a limit of this process, never above what it was started with."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def answer(path: Path) -> dict[str, Any]:
    """What the document at `path` says; whatever a parser makes of hostile bytes, the answer is a `reason`."""
    try:
        kind, extract = format_of(path)
        items = []
        left = ANSWER_MAXIMUM
        for item in extract(path):
            left -= len(item.value) + len(item.label) + 16
            if left < 0:
                return {"reason": TOO_MUCH}
            items.append(item)
    except UnreadableError as error:
        return {"reason": str(error)}
    except (TooMuchError, MemoryError, RecursionError):
        return {"reason": TOO_MUCH}
    except Exception as error:
        return {"reason": f"its reader gave up ({type(error).__name__})"}
    return {"kind": kind, "items": items}


if __name__ == "__main__":
    main()
