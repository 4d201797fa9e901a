"""How FreeSWITCH writes: replies, answers, events in both encodings, and the notice when it hangs up on a
client.

Byte for byte as recorded on 1.10.12.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Encoding = Literal["plain", "json", "xml"]

AUTH_REQUEST: Final = b"Content-Type: auth/request\n\n"
_GOODBYE: Final = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
DISCONNECT: Final = (
    f"Content-Type: text/disconnect-notice\nContent-Length: {len(_GOODBYE)}\n\n".encode() + _GOODBYE
)
_UNSAFE: Final = '\r\n #%&+:;<=>?@[\\]^`{|}"'
_ENCODED: Final = str.maketrans(
    {chr(code): f"%{code:02X}" for code in range(127) if code < 32 or chr(code) in _UNSAFE}
)
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.\-\[\]]")
_encode = msgspec.json.Encoder().encode


def reply(text: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The reply to a command."""
    more = "".join(f"{name}: {_one_line(value)}\n" for name, value in (headers or {}).items())
    return f"Content-Type: command/reply\nReply-Text: {_one_line(text)}\n{more}\n".encode()


def answer(text: str) -> bytes:
    """The answer to an `api` command."""
    body = text.encode()
    return f"Content-Type: api/response\nContent-Length: {len(body)}\n\n".encode() + body


def event(fields: Mapping[str, str], body: str, encoding: Encoding) -> bytes:
    """One event. In JSON every value is a string; in plain each is percent-encoded."""
    if encoding == "json":
        told = {**fields, "Content-Length": str(len(body.encode())), "_body": body} if body else fields
        text = _encode(told)
    elif encoding == "xml":
        text = _xml(fields, body).encode()
    else:
        text = plain(fields, body).encode()
    return f"Content-Length: {len(text)}\nContent-Type: text/event-{encoding}\n\n".encode() + text


def plain(fields: Mapping[str, str], body: str = "") -> str:
    """An event's lines, percent-encoded, and its body as it is."""
    lines = "".join(f"{name}: {encoded(value)}\n" for name, value in fields.items())
    if not body:
        return f"{lines}\n"
    return f"{lines}Content-Length: {len(body.encode())}\n\n{body}"


def encoded(value: str) -> str:
    """A value as it stands in a plain event: no line end, no percent sign of its own."""
    if value.isascii() and "\x7f" not in value:
        return value.translate(_ENCODED)
    return "".join(chr(byte).translate(_ENCODED) if byte < 127 else f"%{byte:02X}" for byte in value.encode())


def fit_name(name: str) -> str:
    """A variable's name that can stand before a colon."""
    return _NO_NAME.sub("_", name)[:128]


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ").strip()


def _xml(fields: Mapping[str, str], body: str) -> str:
    lines = "".join(f"    <{name}>{encoded(value)}</{name}>\n" for name, value in fields.items())
    inner = f"  <body>{encoded(body)}</body>\n" if body else ""
    return f"<event>\n  <headers>\n{lines}  </headers>\n{inner}</event>"
