"""Callees by number: what a far end does when it is rung. The same as the lab's callee dialplan, timings
included.

`dialplan/asterisk/lab-callee.conf` is the original; a test calls each number on both and compares.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, le=86400)]


class Callee(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one number behaves. Times are seconds.

    It is refused with `cause` (Q.850) when that is set; else it alerts as told and then answers, unless it
    never does.
    """

    cause: Annotated[int, Meta(ge=1, le=127)] | None = None
    """Refuses the call with this Q.850 cause."""
    sip_status: Annotated[int, Meta(ge=300, le=699)] | None = None
    """The SIP status of the refusal, where it is not the usual one of its cause."""
    rings: Seconds | None = None
    """Sends 180 Ringing, for so long."""
    early_media: Seconds | None = None
    """Sends 183 Session Progress and a ringing tone, for so long."""
    answers: bool = True
    hangs_up: Seconds | None = None
    """Hangs up so long after it answered."""
    presses: Annotated[str, Meta(pattern=r"^[0-9A-D*#]{1,32}$")] = ""
    presses_after: Seconds = 2.0
    """When it presses the first of its keys, from the answer on."""
    says: str = ""
    """A sound that it speaks, once it has answered, or several with `&` between them."""
    says_again: Seconds | None = None
    """So long after it has said it, it says it again, for ever."""


KEYS: Final = "0123456789ABCD*#"
"""The keys of a telephone (ITU-T Q.23)."""

KEY_LASTS: Final = 0.1
"""Seconds that a key is held."""
_FIRST_KEY: Final = 0.2
_NEXT_KEY: Final = 0.352
"""Asterisk's SendDTMF: the first key is told 0.2 s after it begins, each further one 0.352 s later
[measured]."""


def _three_digits(first: int) -> str:
    return "&".join(f"orchestrator/en/digits/{digit}" for digit in range(first, first + 3))


LAB: Final[Mapping[str, Callee]] = {
    "0100": Callee(rings=1.0),
    "0101": Callee(cause=17),
    "0102": Callee(rings=0.0, answers=False),
    "0103": Callee(cause=21, sip_status=603),
    "0104": Callee(cause=1),
    "0105": Callee(hangs_up=1.5),
    "0106": Callee(presses="1"),
    "0107": Callee(early_media=2.0),
    "0108": Callee(),
    "0109": Callee(cause=34),
    "0110": Callee(),
    "0111": Callee(presses="42#"),
    "0112": Callee(says=_three_digits(1), says_again=1.0),
    "0113": Callee(rings=1.0, says=_three_digits(7), says_again=1.0),
}
"""By the last four digits, of numbers that end in 555 and these."""

NOBODY: Final = Callee(cause=1)
"""Any other number: there is no such one (Q.850 cause 1, SIP 404)."""

_LAB_NUMBER = re.compile(r"\+?[0-9]*555([0-9]{4})")


def callee_of(number: str, own: Mapping[str, Callee]) -> Callee:
    """Who answers at `number`: one of the user's `own` (by the whole number without its plus, or by its last
    digits, the longest match first), else one of the lab's, else nobody."""
    digits = number.removeprefix("+")
    if own and digits.isascii() and digits.isdecimal():
        for start in range(len(digits)):
            if digits[start:] in own:
                return own[digits[start:]]
    found = _LAB_NUMBER.fullmatch(number)
    return LAB.get(found[1], NOBODY) if found else NOBODY


def key_times(callee: Callee) -> list[tuple[float, str]]:
    """When the switch tells of each key that the callee presses, in seconds from the answer on."""
    first = callee.presses_after + _FIRST_KEY
    return [(first + n * _NEXT_KEY, key) for n, key in enumerate(callee.presses)]
