"""The pytest plugin: the fixture `virtual_pbx`. Nothing is loaded until a test asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orchestrator.testing import VirtualPbxThread


@pytest.fixture
def virtual_pbx() -> "Iterator[VirtualPbxThread]":
    """A virtual PBX of the test's own: ARI, ESL and control on free ports, twenty times as fast as the
    clock."""
    from orchestrator.testing import fixture_pbx

    yield from fixture_pbx()
