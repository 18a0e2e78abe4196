"""The mail in a real browser at the widths of a phone and of a reading pane: everything fits."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mail_reports import BEGAN, RUN, eventful, quiet

from vault.config import MailRecipient
from vault.mail.ask import ask_for
from vault.mail.content import Content
from vault.mail.digest import Circumstances, digest
from vault.mail.notices import night_failed, notice
from vault.mail.render import html

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

TEN = BEGAN.replace(hour=10)
ASK = ask_for(
    MailRecipient(name="Ann", address="ann@test.local"),
    code="7K3QD-0VZ9M",
    run=RUN,
    answers_to="vault@test.local",
    began=BEGAN,
    confirm_by=TEN,
    required=2,
    full=True,
    totp=True,
)
MAILS: dict[str, Content] = {
    "full": digest(eventful(), Circumstances(full=True, confirm_by=TEN), ASK),
    "limited": digest(
        eventful(), Circumstances(full=False, confirm_by=TEN, emergency="since 23 Nov, 14:05"), ASK
    ),
    "quiet": digest(quiet(), Circumstances(full=True), None),
    "failed": night_failed("Oncology", BEGAN, ["The ROIS can't be reached."], Path("/srv/vault"), full=False),
    "alarm": notice("Oncology", "ALARM: 2 patients not confirmed", "Not confirmed.\n\nRun:\n  Answered: Ann"),
}

MEASURE = """
const wide = [...document.querySelectorAll('td, table, a, span')].filter(
    each => each.getBoundingClientRect().right > innerWidth + 1);
const small = [...document.querySelectorAll('td')].filter(
    each => each.innerText.trim() && parseFloat(getComputedStyle(each).fontSize) < 11
            && each.innerText.trim() != String.fromCharCode(160));
const links = [...document.querySelectorAll('a')].map(each => each.getBoundingClientRect().height);
return {scroll: document.documentElement.scrollWidth, inner: innerWidth, wide: wide.length, small: small.length,
        links: links, loaded: performance.getEntriesByType('resource').length};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    profile = tempfile.mkdtemp(prefix="vault-browser-")  # short: a socket lies in it
    options.add_argument(f"--user-data-dir={profile}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.mark.parametrize("styles", [True, False], ids=["with its style sheet", "with inlined styles only"])
def test_every_mail_fits_a_phone_and_a_reading_pane(browser: Any, tmp_path: Path, styles: bool) -> None:
    for name, content in MAILS.items():
        page = html(content)
        if not styles:  # what Outlook leaves of it
            page = page[: page.index("<style")] + page[page.index("</style>") + len("</style>") :]
        path = tmp_path / f"{name}.html"
        path.write_text(page, "utf-8")
        for width in (320, 390, 700):
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
            )
            browser.get(path.as_uri())
            found = browser.execute_script(MEASURE)
            assert found["inner"] == width, (name, found)
            assert found["scroll"] <= width, (name, found)
            assert (found["wide"], found["small"], found["loaded"]) == (0, 0, 0), (name, width, found)
            assert all(height >= 20 for height in found["links"]), "a finger has to hit it"
            assert len(found["links"]) == (2 if name in {"full", "limited"} else 0)
