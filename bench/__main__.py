"""`python -m bench`: measure, print the table, write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from bench import report
from bench.cases import Bench, charts, commands, memory, night, normal, receive, rescue, store
from bench.corpus import FULL, Corpus, Size, make_corpus
from bench.harness import Case, Result, run_case, say
from bench.profiling import profile_store

TOPICS: dict[str, ModuleType] = {
    "receive": receive,
    "normal": normal,
    "store": store,
    "night": night,
    "rescue": rescue,
    "charts": charts,
    "commands": commands,
    "memory": memory,
}
HERE = Path(__file__).resolve().parent.parent
TINY = Size(matrix=32, slices=3, control_points=4, records=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for."""
    os.umask(0o077)  # as the vault's commands do: it complains of what others could read
    options = _options(arguments)
    load = os.getloadavg()[0]
    folder: Path = options.folder
    name = "tiny" if options.tiny else "corpus"
    say(f"corpus: {options.patients} patients")
    corpus = make_corpus(
        folder / f"{name}-{options.patients}", options.patients, TINY if options.tiny else FULL
    )
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=folder))
    try:
        bench = _bench(options, corpus, scratch)
        chosen = [case for topic in options.case or TOPICS for case in TOPICS[topic].cases(bench)]
        results = list(_measured(chosen, scratch, options.repeat))
        profile = profile_store(corpus, scratch)
    finally:
        shutil.rmtree(scratch)
    about = report.Circumstances(_command(options), load, corpus, options.repeat)
    print(report.table(results), report.verdicts(results), *report.left_out(results), sep="\n\n")
    if options.output:
        options.output.write_text(report.document(results, about, profile))


def _measured(cases: Iterable[Case], scratch: Path, repetitions: int) -> Iterable[Result]:
    for case in cases:
        say(case.title)
        for reason in case.left_out:
            say(f"  left out: {reason}")
        yield run_case(case, scratch, repetitions)


def _bench(options: argparse.Namespace, corpus: Corpus, scratch: Path) -> Bench:
    if options.tiny:
        return Bench(
            corpus,
            scratch,
            small_objects=3,
            many_patients=2,
            nights=2,
            chart_patients=3,
            large_object=4 << 20,
        )
    return Bench(corpus, scratch)


def _command(options: argparse.Namespace) -> str:
    extra = f" BENCH_ARGS='--patients {options.patients} --repeat {options.repeat}'"
    return "make bench" + ("" if (options.patients, options.repeat) == (10, 3) else extra)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--patients", type=int, default=10, metavar="N", help="patients of 90 MB (default 10)"
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each side (default 3)")
    parser.add_argument(
        "--case", action="append", choices=list(TOPICS), help="only this topic; may be repeated"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="objects of a few kB: shows that it runs, no more"
    )
    parser.add_argument("--folder", type=Path, default=HERE / "build" / "bench", help="where it works")
    parser.add_argument("--output", type=Path, help="write the report there")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
