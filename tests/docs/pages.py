"""Reads the pages of docs/: their code blocks and their tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = (
    "configuration.md",
    "lab.md",
    "operators.md",
    "producers.md",
    "prompts.md",
    "queues.md",
    "speech.md",
    "virtual-pbx.md",
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of code, and where it stands."""

    page: str
    line: int
    kind: str
    text: str


def page(name: str) -> str:
    """The page's text."""
    return (DOCS / name).read_text("utf-8")


def blocks(name: str, *kinds: str) -> list[Block]:
    """The page's fenced blocks of these kinds."""
    text = page(name)
    return [
        Block(name, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
        if found[1] in kinds
    ]


def section(name: str, heading: str) -> str:
    """What stands under `heading`, up to the next heading of the same depth."""
    depth = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^{depth} |\Z)", page(name), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name} has no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in `text`, headings left out."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for n, line in enumerate(lines):
        is_heading = n + 1 < len(lines) and lines[n + 1].startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not is_heading:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
    return found


def names(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def title(block: Block) -> str:
    """The page and line, to name a test by."""
    return f"{block.page}:{block.line}"


def ids(found: list[Block]) -> list[str]:
    """The titles of blocks, as pytest wants them."""
    return [title(block) for block in found]
