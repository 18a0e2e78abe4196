"""The benchmark runs, on a corpus of a few kilobytes: its figures mean nothing then, its mechanics do."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # bench is not part of the package

from bench.__main__ import TINY, main
from bench.corpus import make_corpus
from bench.harness import VAULT, Case, Result, Sample, Target, run_case
from bench.report import table, verdicts


def test_the_corpus_follows_from_its_arguments(tmp_path):
    one, two = (make_corpus(tmp_path / name, 2, TINY) for name in "ab")
    assert list(one.patients) == ["BENCH-001", "BENCH-002"]
    assert [file.read_bytes() for file in one.files] == [file.read_bytes() for file in two.files]


def test_sides_take_turns_and_what_is_compared_are_pairs(tmp_path):
    order = []

    def side(name, seconds):
        def run(folder):
            assert not list(folder.iterdir())
            order.append(name)
            return Sample(seconds, peak_mb=5)

        return run

    targets = (Target("twice", "other", ratio=2), Target("small", peak_mb=4), Target("absent", "x", ratio=1))
    case = Case("case", {VAULT: side(VAULT, 1), "other": side("other", 3)}, 6, targets=targets)
    result = run_case(case, tmp_path, 3)
    assert order == [VAULT, "other", "other", VAULT, VAULT, "other"]
    assert result.ratio("other") == 3
    assert [result.met(target) for target in targets] == [True, False, None]
    assert "| case | twice | 3.00 x | yes |" in verdicts([result])
    assert "1.000 s (6 MB/s)" in table([result])


def test_what_could_not_run_is_reported_without_samples():
    assert table([Result(Case("x", {}, left_out=["why"]), {})]).count("\n") == 1


@pytest.mark.parametrize("topic", ["normal", "store", "rescue", "commands"])
def test_a_topic_runs_from_end_to_end(tmp_path, topic, capsys):
    report = tmp_path / "report.md"
    common = [
        "--tiny",
        "--patients",
        "1",
        "--repeat",
        "1",
        "--folder",
        str(tmp_path),
        "--output",
        str(report),
    ]
    main([*common, "--case", topic])
    assert "## Targets" in report.read_text()
    assert "| vault |" in capsys.readouterr().out
    assert not list(tmp_path.glob("scratch-*"))


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("storescu"), reason="storescu not installed: apt-get install dcmtk")
@pytest.mark.skipif(not shutil.which("Orthanc"), reason="Orthanc not installed: apt-get install orthanc")
def test_the_topics_with_a_network_run(tmp_path, capsys):
    common = ["--tiny", "--patients", "1", "--repeat", "1", "--folder", str(tmp_path)]
    main([*common, "--case", "receive", "--case", "memory"])
    assert "storescp +B" in capsys.readouterr().out
