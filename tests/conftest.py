"""What every test shares: a word in the end about what was left out."""

import os

import pytest

REAL = ("tests/real/", "tests/chaos/")
"""Where the tests lie that drive real servers."""


def _is_real(report: pytest.TestReport) -> bool:
    return any(folder in report.nodeid for folder in REAL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tests against real servers did not run, and why: green would be half a truth."""
    left_out = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report, pytest.TestReport) and _is_real(report)
    ]
    if not left_out:
        return
    reasons = {str(r.longrepr[2]) if isinstance(r.longrepr, tuple) else str(r.longrepr) for r in left_out}
    terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
    terminalreporter.line(f"{len(left_out)} tests against a real Asterisk did not run:", red=True, bold=True)
    for reason in sorted(reasons):
        terminalreporter.line(f"  {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a test that was left out is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or exitstatus != 0 or reporter is None:
        return
    if any(_is_real(report) for report in reporter.stats.get("skipped", [])):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
