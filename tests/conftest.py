"""What every test shares: who goes first, and a word in the end about what was left out."""

import os

import pytest

REAL = ("tests/real/", "tests/chaos/", "tests/intake/", "tests/ledger/", "tests/cli/test_intake_checks.py")
"""Where the tests lie that drive real servers."""

WAITING = ("tests/chaos/", "tests/real/", "tests/intake/", "tests/ledger/", "tests/http/")
"""Where the tests lie that wait for the world most of the time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait go first, so that they wait beside each other, and beside those that compute."""

    def turn(item: pytest.Item) -> int:
        return next((n for n, folder in enumerate(WAITING) if item.nodeid.startswith(folder)), len(WAITING))

    items.sort(key=turn)


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
    terminalreporter.line(f"{len(left_out)} tests against real servers did not run:", red=True, bold=True)
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
