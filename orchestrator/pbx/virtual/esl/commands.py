"""What a client sends over the event socket, cut into commands. No I/O: bytes in, commands out.

A command is a line, further lines `Name: value`, and an empty line; with a Content-Length a body follows.
Source: mod_event_socket.c, read_packet().
"""

from typing import Final

import msgspec

MAX_HEAD: Final = 64 * 1024
"""Bytes of a command's lines."""
MAX_BODY: Final = 1024 * 1024
"""Bytes of a command's body."""
MAX_LINES: Final = 200


class Broken(ValueError):
    """The client sends what is no command; its connection is closed. The message says what is wrong with
    it."""


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command."""

    line: str
    headers: dict[str, str] = {}
    """By lower-case name; of a name that comes twice the last."""
    body: str = ""


class CommandReader:
    """Takes bytes in any pieces. What it keeps is bounded by the limits above."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._head: tuple[str, dict[str, str]] | None = None
        self._length = 0

    def feed(self, data: bytes) -> list[Command]:
        """The commands that these bytes complete. Raises `Broken`."""
        self._buffer += data
        commands: list[Command] = []
        while True:
            if self._head is None and not self._take_head():
                return commands
            if self._head is None:
                continue
            if len(self._buffer) < self._length:
                return commands
            body = bytes(self._buffer[: self._length]).decode("utf-8", "replace")
            del self._buffer[: self._length]
            commands.append(Command(self._head[0], self._head[1], body))
            self._head = None
            self._length = 0

    def _take_head(self) -> bool:
        """Whether a whole head was there. An empty one, as between commands, is passed over."""
        buffer = self._buffer
        while buffer.startswith((b"\n", b"\r")):
            del buffer[:1]
            self._scanned = 0
        end, width = _end_of_head(buffer, max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(buffer)
            if len(buffer) > MAX_HEAD:
                raise Broken("a command's lines do not end")
            return False
        if end > MAX_HEAD:
            raise Broken("a command's lines are too long")
        text = bytes(buffer[:end]).decode("utf-8", "replace")
        del buffer[: end + width]
        self._scanned = 0
        line, *rest = text.replace("\r", "").split("\n")
        if len(rest) > MAX_LINES:
            raise Broken("a command has too many lines")
        headers = dict(_header(each) for each in rest)
        self._length = _length(headers.get("content-length", ""))
        self._head = (line.strip(), headers)
        return True


def _end_of_head(buffer: bytearray, start: int) -> tuple[int, int]:
    """Where the empty line is, and how many bytes end the head there."""
    found = [(at, len(mark)) for mark in (b"\n\n", b"\n\r\n") if (at := buffer.find(mark, start)) >= 0]
    return min(found, default=(-1, 0))


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _length(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) > MAX_BODY:
        raise Broken("a command's Content-Length will not do")
    return int(text)
