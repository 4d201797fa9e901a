"""Bytes into ESL frames. No I/O, no clock.

A frame is header lines, an empty line, and a body of `Content-Length` bytes if that header is there
(mod_event_socket.c). The peer is not trusted with our memory: header, number of headers and body are bounded.
Values are percent-decoded only after the lines have been split, so an encoded line feed in a value
(which a far end may choose) never makes a header.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from orchestrator.pbx.errors import PbxProtocolError

MAX_HEADER_BYTES: Final = 16 << 10
"""Of one frame's header lines. Replies need a few hundred bytes."""
MAX_HEADERS: Final = 64
"""Header lines of one frame."""
MAX_BODY_BYTES: Final = 32 << 20
"""Of one body. `show channels as json` needs about 1 KB for each channel of the switch."""

_END: Final = b"\n\n"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame. Its body may name what is played, so it is never printed."""

    headers: dict[str, str]
    body: bytes = b""

    @property
    def kind(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def reply(self) -> str:
        """The answer to a command that is no `api`."""
        return self.headers.get("Reply-Text", "")

    def __repr__(self) -> str:
        return f"Frame({self.kind}, {len(self.body)} bytes)"


class FrameReader:
    """Takes bytes as they come and gives the frames that are whole. After a fault it gives no more."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._headers: dict[str, str] | None = None
        self._awaited = 0
        self._broken = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises `PbxProtocolError`, then and ever after."""
        if self._broken:
            raise PbxProtocolError("FreeSWITCH broke the protocol before")
        self._buffer += data
        frames: list[Frame] = []
        self._broken = True
        while (frame := self._next()) is not None:
            frames.append(frame)
        self._broken = False
        return frames

    def _next(self) -> Frame | None:
        if self._headers is None and not self._take_headers():
            return None
        if len(self._buffer) < self._awaited:
            return None
        assert self._headers is not None  # noqa: S101 - just taken
        frame = Frame(self._headers, bytes(memoryview(self._buffer)[: self._awaited]))
        del self._buffer[: self._awaited]
        self._headers = None
        return frame

    def _take_headers(self) -> bool:
        buffer = self._buffer
        if buffer.startswith(b"\n"):  # some replies end with one line feed more than they need
            del buffer[: len(buffer) - len(buffer.lstrip(b"\n"))]
        end = buffer.find(_END, max(0, self._scanned - 1))
        if end > MAX_HEADER_BYTES or (end < 0 and len(buffer) > MAX_HEADER_BYTES):
            raise PbxProtocolError(f"FreeSWITCH sent a header of more than {MAX_HEADER_BYTES} bytes")
        if end < 0:
            self._scanned = len(buffer)
            return False
        headers = parse_headers(bytes(buffer[:end]), most=MAX_HEADERS)
        self._awaited = content_length(headers, most=MAX_BODY_BYTES)
        self._headers = headers
        self._scanned = 0
        del buffer[: end + len(_END)]
        return True


def parse_headers(block: bytes, *, most: int, encoded: bool = False) -> dict[str, str]:
    """`Name: value` lines; of a name that comes twice the first. `encoded` values are percent-decoded.

    Raises `PbxProtocolError` for a line that is no header, and for more lines than `most`.
    """
    if block.count(b"\n") >= most:
        raise PbxProtocolError(f"FreeSWITCH sent more than {most} headers")
    headers: dict[str, str] = {}
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name:
            raise PbxProtocolError("FreeSWITCH sent a line that is no header")
        value = value.lstrip(b" ")
        if encoded and b"%" in value:
            value = unquote_to_bytes(value)
        headers.setdefault(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return headers


def content_length(headers: dict[str, str], *, most: int) -> int:
    """Bytes of the body, 0 without the header. Raises `PbxProtocolError` for no number, or a huge one."""
    text = headers.get("Content-Length", "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)) or int(text) > most:
        raise PbxProtocolError(f"FreeSWITCH announced a body that is not 0 to {most} bytes long")
    return int(text)
