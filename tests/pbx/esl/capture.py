"""The recorded sessions of a real FreeSWITCH 1.10.12, cut into what each side said.

Lines that begin with `>>> ` are the client's; everything else is the server's bytes. This cuts frames by
itself, so that the code under test is compared with something else than itself.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "captures"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))

_MARK = b">>> "
_LENGTH = re.compile(rb"^Content-Length: (\d+)$", re.MULTILINE)
_KIND = re.compile(rb"^Content-Type: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Said:
    """One frame of the server."""

    head: bytes
    body: bytes

    @property
    def kind(self) -> str:
        found = _KIND.search(self.head)
        assert found is not None
        return found[1].decode()

    @property
    def wire(self) -> bytes:
        return self.head + b"\n\n" + self.body


@dataclass(frozen=True)
class Asked:
    """One command of the recording client."""

    lines: tuple[str, ...]

    @property
    def verb(self) -> str:
        words = self.lines[0].split()
        return words[1] if words[0] in ("api", "bgapi") else words[0]


def read(name: str) -> list[Said | Asked]:
    data = (FOLDER / f"{name}.txt").read_bytes()
    parts: list[Said | Asked] = []
    at = 0
    while at < len(data):
        if data[at : at + 1] == b"\n":
            at += 1
        elif data.startswith(_MARK, at):
            lines = []
            while data.startswith(_MARK, at):
                end = data.index(b"\n", at) if b"\n" in data[at:] else len(data)
                lines.append(data[at + len(_MARK) : end].decode())
                at = end + 1
            parts.append(Asked(tuple(lines)))
        else:
            end = data.index(b"\n\n", at)
            head = data[at:end]
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            at = end + 2 + length
            parts.append(Said(head, data[end + 2 : at]))
    return parts


def server_bytes(name: str) -> bytes:
    """All that the server sent."""
    return b"".join(part.wire for part in read(name) if isinstance(part, Said))
