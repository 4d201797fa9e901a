"""The small library, written once; each test loads it with templates of its own."""

from pathlib import Path

import pytest

from tests.prompts.small_library import Room, write_library


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def room(small_root: Path, tmp_path: Path) -> Room:
    return Room(small_root, tmp_path)
