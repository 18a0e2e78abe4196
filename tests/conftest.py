"""What every test runs under, and the rule that a system test which did not run is never silent."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

REQUIRE_SYSTEM = "VAULT_REQUIRE_SYSTEM"
"""Set this environment variable to 1 to make a skipped system test a failure."""

# The operator's own git configuration (signing, hooks, templates, ownership) must not decide what a test sees.
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
os.environ.pop("VAULT_CONFIG", None)

# A shell that runs the suite in the background lets it inherit Ctrl-C ignored; the commands under test are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine stalls now and then: a slow example is no defect. `derandomize` lets a failure repeat.
hypothesis.settings.register_profile("vault", deadline=None, derandomize=True)
hypothesis.settings.load_profile("vault")


class SystemTests:
    """Counts the system tests that ran and lists those that did not, with the reason."""

    def __init__(self) -> None:
        self.ran = 0
        self.skipped: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped and "tests/system/" in f"{report.nodeid}/":
            self.skipped[report.nodeid] = _reason(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "system" not in report.keywords:
            return
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped[report.nodeid] = _reason(report)
        elif report.when == "call":
            self.ran += 1

    @property
    def complaint(self) -> str | None:
        """Why the session fails although no test did; None when system tests may be skipped or all ran."""
        if os.environ.get(REQUIRE_SYSTEM) != "1" or (self.ran and not self.skipped):
            return None
        what = f"{len(self.skipped)} system tests were skipped" if self.skipped else "no system test ran"
        return f"{REQUIRE_SYSTEM}=1, but {what}"

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.complaint and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("system tests that did not run")
            for test, reason in sorted(self.skipped.items()):
                terminalreporter.line(f"{test}: {reason}")
            terminalreporter.line(
                "`make test` as root installs what they need: orthanc dcmtk age git openssh-client"
            )
        if self.complaint:
            terminalreporter.line(f"FAILED: {self.complaint}", red=True, bold=True)


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # with xdist only the controller sees every report
        config.pluginmanager.register(SystemTests(), "system-tests")
