"""The gate to every PBX: what may stand in a dial string, a channel id, the name of a sound. Pure.

In Asterisk `,` `&` `@` `/` reach another endpoint, in FreeSWITCH `{}` `[]` `^^` `|` `'`, and a line feed
begins a command of its own. So nothing goes in but what is known to be harmless in both.
"""

import re
from typing import Final

_NUMBER: Final = re.compile(r"\+?[0-9]{1,20}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,148}")
"""Asterisk takes at most 149 characters (AST_MAX_PUBLIC_UNIQUEID), FreeSWITCH 256."""
_SOUND: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


class Unfit(ValueError):
    """A request that must not reach the PBX. The message names what is wrong, never the value."""


def check_number(value: str, what: str) -> str:
    """`value` if it is a plus and digits, or digits. Raises `Unfit`."""
    if not _NUMBER.fullmatch(value):
        raise Unfit(f"the {what} is not a plus and digits only")
    return value


def check_id(value: str, what: str) -> str:
    """`value` if it can be an id on every PBX. Raises `Unfit`."""
    if not _ID.fullmatch(value):
        raise Unfit(f"the {what} is not 1-149 of A-Z a-z 0-9 . _ : -, a letter or digit first")
    return value


def check_sound(value: str) -> str:
    """`value` if it can be the id of a library sound: no comma parts lists, no dots climb folders.

    Raises `Unfit`.
    """
    if not _SOUND.fullmatch(value) or ".." in value:
        raise Unfit("a sound's id has characters that no sound of the library has")
    return value


def dial_string(template: str, number: str) -> str:
    """`template` with the number in it. Only digits (and for {e164} the plus) get in; else `Unfit`."""
    digits = check_number(number, "number").removeprefix("+")
    return template.replace("{number}", digits).replace("{e164}", "+" + digits)
