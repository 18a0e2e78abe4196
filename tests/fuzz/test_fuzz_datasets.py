"""Data sets that hypothesis makes up, in every encoding, whole and broken: what shrinks to the smallest that fails."""

from __future__ import annotations

import pytest
from dicom_kit import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, Style, write
from fuzz_checks import Checker
from fuzz_mutator import TAGS, VALUES, VRS, mutate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=120, suppress_health_check=list(HealthCheck))

tags = st.sampled_from([tag for tag in TAGS if tag >> 16 not in {0, 0xFFFE} and tag & 0xFFFF])
representations = st.sampled_from([vr for vr in VRS if vr not in {"SQ", "ZZ"}])
leaves = st.builds(Element, tags, representations, st.one_of(st.sampled_from(VALUES), st.binary(max_size=40)))
elements = st.recursive(
    leaves,
    lambda inner: st.builds(
        Element, tags, st.just("SQ"), st.lists(st.lists(inner, max_size=3).map(tuple), max_size=3).map(tuple)
    ),
    max_leaves=8,
)
styles = st.builds(Style, st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]), st.booleans(), st.booleans())
objects = st.builds(write, st.lists(elements, max_size=6).map(tuple), styles)


@pytest.fixture(scope="module")
def checker():
    return Checker()


@QUICK
@given(objects)
def test_what_is_well_formed_keeps_its_properties(checker, data):
    checker.check(data)


@QUICK
@given(objects, st.integers(0, 2**32), st.binary(max_size=12), st.floats(0, 1))
def test_what_is_broken_keeps_them_too(checker, data, seed, junk, where):
    """Lengths, delimiters, nestings, cuts; or bytes put in somewhere."""
    at = int(where * len(data))
    checker.check(mutate(data, 8192, seed, lambda plain, _: plain[:at] + junk + plain[at:]))
