"""What the chaos suite's own tests need: SIPp, and an Asterisk of theirs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.real.lab import LabInfo, LabUnavailableError, own_name, start_lab, stop_lab
from tests.real.worker import install_sounds


def _left_out(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the chaos suite must run in CI, but:\n{reason}", pytrace=False)
    pytest.skip(f"NO CHAOS HERE, so this was not tested:\n{reason}")


@pytest.fixture(scope="session")
def sipp() -> str:
    """The program of the callees."""
    found = shutil.which("sipp")
    if found is None:
        _left_out("sipp is not installed; mend: apt-get install sip-tester")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def kill_lab(sipp: str) -> Iterator[LabInfo]:
    """A real Asterisk, with our sounds, for the tests of one module."""
    name = own_name(f"kill{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    try:
        lab = start_lab(name)
    except LabUnavailableError as error:
        _left_out(str(error))
        raise
    try:
        install_sounds(lab)
        yield lab
    finally:
        stop_lab(name)
