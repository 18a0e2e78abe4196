"""The fuzzer's properties over what it once found, and a short run of the fuzzer itself."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import fuzz_run
import pytest
from fuzz_checks import Checker, Finding, readable
from fuzz_mutator import mutate
from fuzz_seeds import seeds

CORPUS = Path(__file__).parent / "corpus"
RUNS = 1000


@pytest.fixture(scope="module")
def checker():
    return Checker()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.dcm")), ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path, checker):
    checker.check(path.read_bytes())


def test_every_seed_keeps_its_properties(checker):
    forms = [checker.check(data) for data in seeds()]
    assert sum(b"(opaque)" not in form for form in forms) > 40


def test_mutations_of_every_seed_keep_their_properties(checker):
    """What the fuzzer does without coverage, so that a Python for which there is no fuzzer is tested as well."""
    for seed in range(4):
        for data in seeds():
            mutated = mutate(data, 4096, seed, lambda plain, maximum: plain[:maximum])
            assert mutated == mutate(data, 4096, seed, lambda plain, maximum: plain[:maximum])
            checker.check(mutated)


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"normal-form 1\nA LO x",
        b"normal-form 1\nA LO \xff\n",
        b"normal-form 1\nA LO \x01\n",
        b"normal-form 1\nx\n",
    ],
)
def test_what_is_no_normal_form_is_found(form):
    with pytest.raises(Finding):
        readable(form)


def test_the_fuzzer_finds_nothing_in_a_short_run(tmp_path):
    if not fuzz_run.available():
        said = f"atheris has no wheel for Python {sys.version.split()[0]} on {os.uname().machine}: no fuzzing"
        warnings.warn(said, stacklevel=1)
        pytest.skip(said)
    result = fuzz_run.run(tmp_path, RUNS, seed=1, longest=1024, quiet=True)
    print(result)
    assert result.code == 0, list((tmp_path / "findings").iterdir())
    assert result.inputs == RUNS
    assert result.edges > 500
