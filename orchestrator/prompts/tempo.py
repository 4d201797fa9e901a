"""How long the pauses are, in ms. A prompt can always say its own with `<break>`."""

import re
from functools import lru_cache

from orchestrator.prompts.errors import SsmlInvalid

STRENGTHS = {"none": 0, "x-weak": 100, "weak": 200, "medium": 400, "strong": 700, "x-strong": 1000}
"""`<break strength>`; `<break/>` alone is `medium`, as SSML says."""

PARAGRAPH = 600
"""Before and after `<p>`."""
SENTENCE = 400
"""Before and after `<s>`, and at a mark that ends a sentence."""
CLAUSE = 200
"""At a comma, colon, semicolon or dash."""
CHARACTER = 300
"""Between the digits or characters of a `<say-as>`, and before and after them."""
GROUP = 500
"""Between the groups of a telephone number."""
WORD = 100
"""Before and after the words of a number, date, time or amount, which follow each other without a pause."""

SILENCES = (5000, 2000, 1000, 500, 400, 300, 200, 100)
"""The silences that a library ships. All pauses are made of these, so they are multiples of 100 ms."""
MAX_BREAK = 10_000

_TIME = re.compile(r"\+?([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})(ms|s)")


def break_ms(time: str | None, strength: str | None, at: int) -> int:
    """Return the length of a `<break>`: `time` goes before `strength`. Raises `SsmlInvalid`."""
    if time is not None:
        match = _TIME.fullmatch(time.strip())
        if match is None:
            raise SsmlInvalid("the time of <break> is no time", 'write it as "300ms" or "1.2s"', at=at)
        length = float(match.group(1)) * (1000 if match.group(2) == "s" else 1)
        if length > MAX_BREAK:
            raise SsmlInvalid("<break> is longer than 10 s", "make it shorter", at=at)
        # To the nearest 100 ms, halves up.
        return int(length / 100 + 0.5) * 100
    if strength is None:
        strength = "medium"
    if strength not in STRENGTHS:
        raise SsmlInvalid(
            "the strength of <break> is not one of SSML's", f"use one of {', '.join(STRENGTHS)}", at=at
        )
    return STRENGTHS[strength]


@lru_cache(maxsize=256)
def silences(ms: int) -> tuple[int, ...]:
    """Return the shipped silences that make up a pause of a multiple of 100 ms."""
    parts: list[int] = []
    for silence in SILENCES:
        count, ms = divmod(ms, silence)
        parts.extend([silence] * count)
    return tuple(parts)
