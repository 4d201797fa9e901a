"""The real Asterisk that the tests of this folder share, one for each test process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real.backends import backend as backend
from tests.real.lab import LabInfo, LabUnavailableError, own_name, start_lab, stop_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[LabInfo]:
    """A lab of this process's own, on free ports; gone when the tests are done."""
    name = own_name(os.environ.get("PYTEST_XDIST_WORKER", "main"))
    try:
        info = start_lab(name)
    except LabUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the real Asterisk must start in CI, but:\n{error}", pytrace=False)
        pytest.skip(f"NO REAL ASTERISK HERE, so this was not tested:\n{error}")
    try:
        yield info
    finally:
        stop_lab(name)
