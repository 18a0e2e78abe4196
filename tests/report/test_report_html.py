"""The page: whole in itself, closed to everything else, and nothing in the data becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from report_kit import HOSTILE, patient, report

from vault.compare.groups import grouped
from vault.model import AttributeChange, Change, Failure, Finding
from vault.report import html as page
from vault.report.changes import Lines, PatientChanges
from vault.report.pictures import Picture


class Elements(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: dict[str, list[str]] = {}
        self._open = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.said.setdefault(self._open, []).append(data)


def test_a_command_of_a_sentence_stands_as_code_and_its_neighbours_as_text() -> None:
    assert page._commands("say `vault <b>` & go") == "say <code>vault &lt;b&gt;</code> &amp; go"


def test_the_page_is_whole_and_closed() -> None:
    data = page.html(report(patient(1, "critical"), patient(2, "routine")))
    elements = Elements(data)
    policy = next(
        value for name, value in elements.attributes if name == "content" and "default-src" in (value or "")
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        text = "".join(elements.said[tag])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert elements.tags.count("script") == 1
    assert not {"link", "iframe", "object", "base", "embed", "form action"} & set(elements.tags)
    names = {name for name, _ in elements.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "style" not in names  # the policy would refuse it
    addresses = [value or "" for name, value in elements.attributes if name in ("href", "src")]
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)


def test_the_same_report_is_the_same_page() -> None:
    told = report(patient(1, "critical"), patient(2, "major"))
    assert page.html(told) == page.html(told)


def test_it_leads_with_what_matters() -> None:
    quiet = [patient(number, "routine") for number in range(3, 6)]
    text = page.html(report(patient(1, "critical"), patient(2, "major"), *quiet)).decode()
    assert text.index("STOP AND LOOK") < text.index("Who must look at what") < text.index('id="patients"')
    assert text.index("plan PROSTATE: leaves 1 → 2") < text.index('id="patients"')
    assert len(re.findall(r'<li class="patient line"', text)) == 3
    assert len(re.findall(r'<details class="patient"', text)) == 2
    assert "Routine: 3 patients" in text


def test_links_lead_somewhere_and_names_are_unique() -> None:
    elements = Elements(
        page.html(report(*(patient(n, s) for n, s in enumerate(["critical", "minor", "routine"]))))
    )
    names = [value for name, value in elements.attributes if name == "id"]
    assert len(set(names)) == len(names)
    links = {(value or "")[1:] for name, value in elements.attributes if name == "href"}
    assert links <= set(names)


def test_hostile_text_is_text() -> None:
    plain = Elements(page.html(report(patient(1, "critical", "x"), text="x")))
    hostile = Elements(page.html(report(patient(1, "critical", HOSTILE), text=HOSTILE)))
    assert [tag for tag in hostile.tags if tag != "span"] == [tag for tag in plain.tags if tag != "span"]
    assert [name for name, _ in hostile.attributes if name != "class"] == [
        name for name, _ in plain.attributes if name != "class"
    ]
    data = page.html(report(patient(1, "critical", HOSTILE), text=HOSTILE)).decode()
    assert not set("\0\x1b\u202e") & set(data)
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|49", data)


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_text(text: str) -> None:
    data = page.html(report(patient(1, "critical", "x" + text), text="x" + text))
    assert Elements(data).tags.count("script") == 1
    assert not {letter for letter in data.decode() if not letter.isprintable() and letter != "\n"}


def test_long_names_stay_short() -> None:
    assert len(page.html(report(patient(1, "critical", "N" * 10_240), text="N" * 10_240))) < 90_000


def test_lines_are_bounded_and_say_how_to_see_the_rest() -> None:
    one = patient(1, "critical")
    (path,) = one.lines
    one = replace(one, lines={path: Lines(tuple(f"line {n}" for n in range(200)), 100)})
    text = page.html(report(one)).decode()
    assert text.count("<li><bdi>line ") == page.LINES_SHOWN
    assert (
        "260 lines not shown here: <code>vault diff P-001 0000000000 1111111111 --attributes</code>" in text
    )


def many(number: int, severity: str, findings: int = 1) -> list[Change]:
    """Changes that each differ in their own way, so that none is told with another."""
    said = tuple(Finding(severity, f"finding {one}") for one in range(findings))
    return [
        Change(
            f"dicom/RTPLAN/1/{severity}{one}.dcm",
            "changed",
            "RTPLAN",
            f"{severity} {one}",
            severity,
            (AttributeChange("A", "A", "", "LO", "1", f"{severity} {one}"),),
            said,
        )
        for one in range(number)
    ]


def with_changes(number: int, changes: list[Change]) -> PatientChanges:
    return replace(patient(number, "critical"), changes=tuple(changes), groups=tuple(grouped(changes)))


def test_changes_without_end_are_counted_and_those_of_others_still_shown() -> None:
    flood = with_changes(1, [*many(page.GROUPS_SHOWN + 5, "critical"), *many(7, "minor")])
    others = [with_changes(number, many(page.GROUPS_SHOWN, "major")) for number in range(2, 14)]
    data = page.html(report(flood, *others, patient(99, "minor"))).decode()
    assert f"critical {page.GROUPS_SHOWN - 1}<" in data
    assert f"critical {page.GROUPS_SHOWN}<" not in data
    assert "12 changes not shown here: 5 critical, 7 minor: <code>vault diff P-001 " in data
    assert data.count('<details class="change"') == page.GROUPS_IN_ALL
    assert "Demo, Anna 99" in data
    assert "1 change not shown here: 1 minor" in data


def test_findings_without_end_are_counted() -> None:
    data = page.html(report(with_changes(1, many(1, "critical", page.FINDINGS_SHOWN + 3)))).decode()
    assert f"finding {page.FINDINGS_SHOWN - 1}<" in data
    assert f"finding {page.FINDINGS_SHOWN + 2}<" not in data
    assert re.search(r"and [23] findings more: [23] critical", data)


def test_pictures_are_in_the_page() -> None:
    one = patient(1, "critical")
    drawn = Picture("Beam's-eye view", 'leaves "before"', b"\x89PNG", "of beam <1>")
    lacking = Picture("Dose", "none", b"", "No picture: too large.")
    text = page.html(report(one), {("P-001", one.changes[0].path): [drawn, lacking]}).decode()
    assert 'src="data:image/png;base64,iVBORw==" alt="leaves &#34;before&#34;"' in text
    assert "of beam &lt;1&gt;" in text
    assert "No picture: too large." in text
    assert text.count("<img") == 1


def test_failures_have_somebody_to_look_after_them() -> None:
    broken = replace(patient(1, "routine"), changes=(), groups=(), failed=(Failure("", "damaged"),))
    text = page.html(report(broken)).decode()
    assert text.index("Whoever runs the vault") < text.index('id="patients"')
    assert '<span class="badge failed">failed</span>' in text
    assert "damaged" in text


def test_nothing_changed() -> None:
    text = page.html(report()).decode()
    assert "NOTHING CHANGED" in text
    assert "There is nothing to tell of any patient." in text
    assert len(text) < 40_000
