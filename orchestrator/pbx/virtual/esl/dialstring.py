"""`originate` as FreeSWITCH reads it: `{var=value,…}endpoint &application(argument)`.

Only what a test of a client needs: one endpoint, no `|` or `,` between several, `^^:` as another separator.
"""

import re
from typing import Final

import msgspec

USAGE: Final = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] "
    "[<cid_num>] [<timeout_sec>]\n"
)
_APPLICATION: Final = re.compile(r"&([a-z_]+)(?:\((.*)\))?")
_NUMBER: Final = re.compile(r"\+?[0-9A-Za-z_.*#-]{1,64}")


class Unreadable(ValueError):
    """It is no originate; the message is FreeSWITCH's answer."""


class Originate(msgspec.Struct, frozen=True):
    """What is asked for."""

    variables: dict[str, str]
    endpoint: str
    application: str
    """Empty: into the dialplan, which has nothing."""
    argument: str


class Endpoint(msgspec.Struct, frozen=True):
    """Where a call goes: the callee's number and the trunk that it takes."""

    number: str
    trunk: str
    profile: bool
    """Whether the trunk is a SIP profile, not a gateway."""


def read_originate(text: str) -> Originate:
    """Raises `Unreadable`."""
    variables: dict[str, str] = {}
    text = text.strip()
    while text[:1] in ("{", "[", "<"):
        end = text.find({"{": "}", "[": "]", "<": ">"}[text[0]])
        if end < 0:
            raise Unreadable("-ERR Parse Error!\n")
        variables |= read_variables(text[1:end])
        text = text[end + 1 :].lstrip()
    endpoint, _, rest = text.partition(" ")
    rest = rest.strip()
    if not endpoint or not rest:
        raise Unreadable(USAGE)
    if not rest.startswith("&"):
        return Originate(variables, endpoint, "", rest)
    found = _APPLICATION.match(rest)
    if found is None:
        raise Unreadable("-ERR Invalid application\n")
    return Originate(variables, endpoint, found[1], found[2] or "")


def read_variables(text: str) -> dict[str, str]:
    """`a=1,b=2`; `^^:a=1:b=2` with another separator; a comma within quotes or after a backslash is text."""
    separator = ","
    if text.startswith("^^") and len(text) > 2:
        separator, text = text[2], text[3:]
    variables: dict[str, str] = {}
    for part in _split(text, separator):
        name, equals, value = part.partition("=")
        if name.strip():
            variables[name.strip()] = value.strip() if equals else "true"
    return variables


def read_endpoint(text: str) -> Endpoint | str:
    """Where it goes, or the cause for which it goes nowhere."""
    kind, _, rest = text.partition("/")
    if kind == "sofia":
        trunk, _, rest = rest.partition("/")
        if trunk == "gateway":
            trunk, _, number = rest.partition("/")
            found = Endpoint(number.partition("@")[0], trunk, profile=False)
        else:
            found = Endpoint(rest.partition("@")[0].removeprefix("sip:"), trunk, profile=True)
        return found if _NUMBER.fullmatch(found.number) else "DESTINATION_OUT_OF_ORDER"
    if kind in ("loopback", "user", "error", "null"):
        return Endpoint(rest.partition("/")[0], kind, profile=True)
    return "CHAN_NOT_IMPLEMENTED"


def _split(text: str, separator: str) -> list[str]:
    parts, part, quoted, escaped = [], "", False, False
    for char in text:
        if escaped:
            part, escaped = part + char, False
        elif char == "\\":
            escaped = True
        elif char == "'":
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(part)
            part = ""
        else:
            part += char
    return [*parts, part]
