"""Rows of the database as text: sorted by key, stamps apart, and nothing lost on the way there and back."""

from hypothesis import given
from hypothesis import strategies as st

from vault.model import Row
from vault.normal import rows
from vault.normal.lines import parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COLUMNS = st.one_of(st.sampled_from(["site", "status", "changed_at", "My Col", 'a UT "b', "stamp.x"]), TEXT)
FIELDS = st.dictionaries(COLUMNS, st.one_of(st.none(), TEXT), max_size=5)


def prescription(key, **fields):
    return Row("prescriptions", {"prescription_key": key, **fields})


def test_a_line_a_field_sorted_by_key_stamps_at_the_end():
    form = rows.normal_form(
        "prescriptions",
        [
            prescription("9", total_dose_gy="78", course=None, changed_at="2026-11-20", changed_by="smith"),
            prescription("10 b", total_dose_gy="20", note="two\nlines"),
        ],
    )
    assert form.decode() == (
        "normal-form 1\n"
        'prescriptions["10 b"].note UT "two\\nlines"\n'
        'prescriptions["10 b"].prescription_key UT "10 b"\n'
        'prescriptions["10 b"].total_dose_gy UT "20"\n'
        'prescriptions[9].prescription_key UT "9"\n'
        'prescriptions[9].total_dose_gy UT "78"\n'
        'prescriptions[9].stamp.changed_at UT "2026-11-20"\n'
        'prescriptions[9].stamp.changed_by UT "smith"\n'
    )
    assert next(line.path for line in parse(form.splitlines())) == 'prescriptions["10 b"].note'
    assert {line.vr for line in parse(form.splitlines())} == {"UT"}


def test_no_rows_are_a_header():
    assert rows.normal_form("contacts", []) == b"normal-form 1\n"


def test_rows_that_share_a_key_are_numbered_by_what_they_say():
    twins = [Row("contacts", {"name": "Ann", "phone": phone}) for phone in ("2", "1")]
    form = rows.normal_form("contacts", twins)
    assert form == rows.normal_form("contacts", twins[::-1])
    assert rows.parse(form)["contacts[Ann]"]["phone"] == "1"
    assert rows.parse(form)['contacts["Ann (2)"]']["phone"] == "2"


def test_a_stamp_that_moves_alone_changes_nothing():
    old = rows.normal_form("prescriptions", [prescription("1", site="Lung", changed_at="2026-11-20")])
    new = rows.normal_form("prescriptions", [prescription("1", site="Lung", changed_at="2026-11-21")])
    assert old != new
    assert rows.without_stamps(old) == rows.without_stamps(new)


def test_content_that_changes_while_its_stamp_does_not_is_noticed():
    def form(site, stamp):
        return rows.normal_form(
            "prescriptions", [prescription("1", site=site, changed_at=stamp), prescription("2")]
        )

    assert rows.changed_without_stamp(form("Lung", "a"), form("Liver", "a")) == ["prescriptions[1]"]
    assert rows.changed_without_stamp(form("Lung", "a"), form("Liver", "b")) == []
    assert (
        rows.changed_without_stamp(form("Lung", None), form("Liver", None)) == []
    )  # no stamp, nothing to tell


@given(st.dictionaries(TEXT, FIELDS, max_size=4))
def test_everything_comes_back(by_key):
    said = [Row("prescriptions", {**fields, "prescription_key": key}) for key, fields in by_key.items()]
    form = rows.normal_form("prescriptions", said)
    found = rows.parse(form)
    assert len(found) == len(by_key)
    for fields in found.values():
        expected = {**by_key[fields["prescription_key"]], "prescription_key": fields["prescription_key"]}
        assert fields == {
            rows.column_name(name): value for name, value in expected.items() if value is not None
        }


@given(st.lists(FIELDS, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_says_nothing(fields, chance):
    said = [Row("schedule", {"starts": "2026-11-25", **each}) for each in fields]
    shuffled = said[:]
    chance.shuffle(shuffled)
    assert rows.normal_form("schedule", said) == rows.normal_form("schedule", shuffled)


@given(st.text(max_size=30))
def test_quoting_is_undone(text):
    assert rows.unquoted(rows.quote(text)) == text
