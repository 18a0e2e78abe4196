from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from vault.compare import rules
from vault.compare.findings import charts, grids, plan, record, structures
from vault.compare.findings.said import Said
from vault.compare.findings.vocabulary import PATIENT, Vocabulary
from vault.errors import ConfigError

SHIPPED = Path(rules.__file__).with_name("rules.toml")
LABEL = Said("plan.label", "plan label A → B", frozenset({"RTPlanLabel"}))
ENERGY = Said("plan.radiation", "energy", frozenset({"NominalBeamEnergy"}))


def site(folder: Path, text: str) -> rules.Rules:
    (folder / "rules.toml").write_text(text, encoding="utf-8")
    return rules.load(folder)


def test_every_word_of_the_vocabularies_has_a_rule() -> None:
    shipped = rules.load().severities
    vocabularies = [
        value
        for module in (plan, record, structures, grids)
        for value in vars(module).values()
        if isinstance(value, Vocabulary)
    ]
    assert len(vocabularies) >= 5
    subjects = {
        f"{vocabulary.table}.{word.subject}"
        for vocabulary in vocabularies
        for word in (*vocabulary.terms.values(), *vocabulary.items.values())
        if vocabulary.table != "record"
        or word.subject in {"delivery", "fraction", "meterset", "status", "time"}
    }
    subjects |= {f"any.{term.subject}" for term in PATIENT.values()}
    subjects |= {f"{vocabulary.table}.other" for vocabulary in vocabularies}
    assert subjects <= shipped.keys()


def test_every_subject_in_the_code_has_a_rule() -> None:
    shipped = rules.load().severities
    for module in (charts, plan, record, structures):
        text = Path(module.__file__).read_text(encoding="utf-8")
        for subject in re.findall(r'Said\(\s*"([a-z-]+\.[a-z-]+)"', text):
            assert subject in shipped, subject


def test_the_shipped_file_is_the_one_in_config_and_says_only_severities() -> None:
    assert SHIPPED.resolve() == Path(__file__).parents[2] / "config" / "rules.toml"
    document = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    assert {severity for table in document.values() for severity in table.values()} <= set(rules.SEVERITIES)


def test_a_site_without_rules_has_the_shipped_ones(tmp_path: Path) -> None:
    assert rules.load(tmp_path) == rules.load()
    assert rules.load().weigh(LABEL).severity == "major"


def test_what_no_rule_names_is_critical() -> None:
    assert rules.load().weigh(Said("plan.unheard-of", "x")).severity == "critical"


def test_a_site_judges_otherwise_and_the_rest_stays(tmp_path: Path) -> None:
    found = site(tmp_path, '[plan]\nlabel = "minor"\n[database]\nour_own_query = "routine"\n')
    assert found.weigh(LABEL).severity == "minor"
    assert found.weigh(ENERGY).severity == "critical"
    assert found.weigh(Said("database.our_own_query", "x")).severity == "routine"


def test_a_demotion_lowers_and_never_raises(tmp_path: Path) -> None:
    lower = site(
        tmp_path, '[[demote]]\nattribute = "RTPlanLabel"\nto = "routine"\nreason = "renamed nightly"\n'
    )
    assert lower.weigh(LABEL).severity == "routine"
    both = Said("plan.label", "x", frozenset({"RTPlanLabel", "BeamName"}))
    assert lower.weigh(both).severity == "major"
    raised = site(tmp_path, '[[demote]]\nattribute = "RTPlanLabel"\nto = "critical"\nreason = "x"\n')
    assert raised.weigh(LABEL).severity == "major"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('[plan]\n\nlabel = "hide"\n', 3, '"routine"'),
        ("[plan]\nlabel = 3\n", 2, "can't be 3"),
        ('[plan]\nlabel = ["minor"]\n', 2, "can't be"),
        ('[plan]\nlable = "minor"\n', 2, "Is 'label' meant?"),
        ('\n[plans]\nlabel = "minor"\n', 2, "Is 'plan' meant?"),
        ('plan = "minor"\n', 1, "must be a table"),
        ("demote = 1\n", 1, "[[demote]]"),
        ('[[demote]]\nattribute = "X"\nto = "minor"\n', 1, "reason"),
        ('[[demote]]\nattribute = "X"\nto = "minor"\nreason = " "\n', 1, "a reason"),
        ('[[demote]]\nattribute = "X"\nto = "never"\nreason = "y"\n', 1, "to ("),
        ("[plan\n", 1, "not TOML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        site(tmp_path, text)
    assert re.search(rf"line {line}\b", str(error.value))
    assert what in str(error.value)
    assert str(tmp_path / "rules.toml") in str(error.value)


def test_every_error_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        site(tmp_path, '[plan]\nlabel = "x"\njaws = "y"\n')
    assert len(str(error.value).splitlines()) == 2


def test_files_that_are_no_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        rules.load(tmp_path)
    (tmp_path / "rules.toml").write_bytes(b"#" * (rules.LARGEST + 1))
    with pytest.raises(ConfigError, match="larger"):
        rules.load(tmp_path)
