"""The page in a real browser: it folds, filters, moves and prints, and what is hostile in it does nothing."""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pypdfium2
import pytest
from matplotlib.figure import Figure
from report_kit import HOSTILE, patient, report
from run_kit import Department, who

from vault.normal.dicom import normal_form
from vault.report.changes import diff_report
from vault.report.html import html
from vault.report.pictures import Picture

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not (shutil.which(CHROMIUM) and shutil.which(DRIVER)),
        reason="needs chromium and chromium-driver: apt-get install chromium chromium-driver",
    ),
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    profile = tempfile.mkdtemp(prefix="vault-browser-")  # short: a socket lies in it
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


class Page:
    """A page that is open in the browser."""

    def __init__(self, browser: Any, folder: Path, data: bytes, width: int = 1280) -> None:
        self.browser = browser
        path = folder / "report.html"
        path.write_bytes(data)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get_log("browser")
        browser.get(path.as_uri())

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def css(self, selector: str) -> list[Any]:
        from selenium.webdriver.common.by import By

        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def keys(self, text: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(text).perform()

    def shown(self) -> list[str]:
        """IDs of the patients that the filters leave."""
        return [each.get_attribute("id") for each in self.css(".patient:not([data-off])")]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


def png() -> bytes:
    figure = Figure(figsize=(7, 3))
    figure.subplots().plot([1, 2])
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=50)
    return drawn.getvalue()


@pytest.fixture(scope="module")
def night() -> bytes:
    critical = patient(1, "critical")
    quiet = [patient(number, "routine") for number in range(4, 9)]
    told = report(critical, patient(2, "major"), patient(3, "minor", kind="added"), *quiet)
    picture = Picture("Beam's-eye view", "leaves before and after", png(), "seen from the source")
    return html(told, {("P-001", critical.changes[0].path): [picture]})


@pytest.fixture
def page(browser: Any, tmp_path: Path, night: bytes) -> Iterator[Page]:
    opened = Page(browser, tmp_path, night)
    yield opened
    assert opened.complaints() == []


def test_it_opens_on_what_matters(page: Page) -> None:
    (word,) = page.css(".light .word")
    assert word.text == "STOP AND LOOK"
    assert word.rect["y"] < 300
    assert [each.get_attribute("open") is not None for each in page.css("details.patient")] == [
        True,
        True,
        False,
    ]
    assert page.js("return document.querySelector('figure img').naturalWidth") == 350
    assert page.css(".filters .shown")[0].text == "8 patients"


def test_it_folds(page: Page) -> None:
    (first, *_), (raw, *_) = page.css("details.patient > summary"), page.css("details.raw > summary")
    assert not page.css("details.raw li")[0].is_displayed()
    raw.click()
    assert page.css("details.raw li")[0].text == "A: 1 → 2"
    first.click()
    assert not raw.is_displayed()
    page.css("[name=open]")[0].click()
    assert all(
        each.get_attribute("open") for each in page.css("details.patient, details.change, details.quiet")
    )
    page.css("[name=close]")[0].click()
    assert not any(each.get_attribute("open") for each in page.css("details.patient, details.change"))


def test_it_filters(page: Page) -> None:
    page.css("[name=severity][value=critical]")[0].click()
    page.css("[name=severity][value=routine]")[0].click()
    assert page.shown() == [f"p{2:016x}", f"p{3:016x}"]
    assert page.css(".filters .shown")[0].text == "2 of 8 patients"
    page.css("[name=severity][value=routine]")[0].click()
    page.css("[name=text]")[0].send_keys("ANNA 5")
    assert page.shown() == [f"p{5:016x}"]
    assert page.css(f"#p{5:016x}")[0].is_displayed()
    page.css("[name=text]")[0].clear()
    page.js(
        "const s = document.querySelector('[name=kind]'); s.value = 'RTPLAN'; s.form.dispatchEvent(new Event('input'))"
    )
    assert len(page.shown()) == 7


def test_it_is_moved_by_keys(page: Page) -> None:
    page.keys("j")
    assert page.css(".patient.here")[0].get_attribute("id") == f"p{1:016x}"
    page.keys("jj")
    here = page.css(".patient.here")[0]
    assert here.get_attribute("id") == f"p{3:016x}"
    assert here.get_attribute("open") is None
    page.keys("o")
    assert here.get_attribute("open") is not None
    page.keys("k")
    assert page.css(".patient.here")[0].get_attribute("id") == f"p{2:016x}"
    page.keys("/")
    assert page.js("return document.activeElement.name") == "text"
    page.keys("jo")
    assert page.css("[name=text]")[0].get_attribute("value") == "jo"
    page.keys("\ue00c")  # Escape
    page.keys("?")
    assert page.css("dialog.keys")[0].is_displayed()
    page.keys("\ue00c")
    assert not page.css("dialog.keys")[0].is_displayed()
    page.keys("jjjjjjjjjjjj")


def test_links_unfold_what_they_lead_to(page: Page) -> None:
    page.css("[name=close]")[0].click()
    page.css(".looks a")[0].click()
    deadline = time.monotonic() + 10
    while not page.css(f"#p{1:016x}")[0].get_attribute("open"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_fits_a_phone(browser: Any, tmp_path: Path, night: bytes) -> None:
    long = patient(1, "critical", "W" * 400)
    for data in (night, html(report(long, text="W" * 400))):
        page = Page(browser, tmp_path, data, width=390)
        assert page.js("return document.documentElement.scrollWidth") <= 390
        assert page.complaints() == []


def test_it_prints_with_everything_that_matters_open(page: Page) -> None:
    page.css("[name=close]")[0].click()
    printed = page.browser.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True}
    )
    document = pypdfium2.PdfDocument(base64.b64decode(printed["data"]))
    said = "\n".join(sheet.get_textpage().get_text_bounded() for sheet in document)
    for what in ("STOP AND LOOK", "leaves 1 → 2", "seen from the source", "Demo, Anna 8", "Page 1 of"):
        assert what in said
    assert "Open all" not in said
    assert not any(each.get_attribute("open") for each in page.css("details.patient"))  # as it was before


def test_without_scripts_everything_can_be_read(browser: Any, tmp_path: Path, night: bytes) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = Page(browser, tmp_path, night)
        assert not page.css(".filters")[0].is_displayed()
        assert page.css(".change .headline")[0].is_displayed()
        page.css("details.quiet > summary")[0].click()
        assert page.css("li.patient")[0].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "<img src=x onerror=alert(1)>",
        "N" * 10_240,
        "\u202e\u2066evil\u2069",
        "a\0b",
        "</script><script>alert(1)",
    ],
)
def test_hostile_text_does_nothing_and_is_seen(browser: Any, tmp_path: Path, text: str) -> None:
    quiet = replace(patient(2, "routine", text), failed=(), anomalies=())
    page = Page(browser, tmp_path, html(report(patient(1, "critical", text), quiet, text=text)))
    assert page.js("return document.scripts.length") == 1
    assert page.js("return document.images.length") == 0
    said = page.js("return document.body.textContent")
    shown = text.replace("\0", "U+0000").replace("\u202e", "U+202E").replace("\x1b", "U+001B")
    shown = shown.replace("\u2066", "U+2066").replace("\u2069", "U+2069")
    assert shown[:900] in said
    assert not set("\0\u202e\u2066\x1b") & set(page.js("return document.documentElement.outerHTML"))
    assert page.complaints() == []


def test_hostile_attributes_come_through_as_text(browser: Any, tmp_path: Path) -> None:
    """Every text attribute of a plan, from the bytes of the object to the page."""
    text = "<script>alert(1)</script>\u202egnp\u202c" + "N" * 10_240
    source = Path(__file__).parents[1] / "data/dicom/RTPLAN/04d88aa29f74.dcm"
    department = Department(tmp_path / "site")
    history = department.patient("A")
    old = history.night({**forms(source), **who("Demo^Anna")})
    plan = pydicom.dcmread(source)
    plan.SpecificCharacterSet = "ISO_IR 192"
    count = 0
    for element in plan.iterall():
        if element.VR in ("LO", "SH", "ST", "LT", "UT", "UC", "PN"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                element.value = text
            count += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan.save_as(tmp_path / "plan.dcm")
    new = history.night({**forms(tmp_path / "plan.dcm"), **who(text)})
    page = Page(browser, tmp_path, html(diff_report(department.config, history.repository, old, new)))
    assert count > 10
    assert page.js("return document.scripts.length") == 1
    said = page.js("return document.querySelector('.raw').textContent")
    assert said.count("<script>alert(1)</script>") >= min(count, 40) // 2
    assert page.css("h3")[0].text.startswith("<script>alert(1)</script>U+202Egnp")
    assert not set("\u202e\u202c") & set(page.js("return document.documentElement.outerHTML"))
    assert page.complaints() == []


def forms(source: Path) -> dict[str, bytes]:
    """A plan and its normal form, at one place whatever it says."""
    form = io.BytesIO()
    normal_form(source, form)
    return {"dicom/RTPLAN/1/1.1.dcm": source.read_bytes(), "dicom/RTPLAN/1/1.1.txt": form.getvalue()}


def test_the_policy_stops_what_the_data_could_not(page: Page) -> None:
    """The second line of defence works by itself: a script or picture that is put in afterwards gets nowhere."""
    page.js("""
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(image);
    """)
    assert page.js("return window.ran === undefined")
    deadline = time.monotonic() + 10
    complaints: list[str] = []
    while len(complaints) < 2 and time.monotonic() < deadline:
        complaints += page.complaints()
    assert all("Content Security Policy" in one for one in complaints)
    assert len(complaints) == 2
