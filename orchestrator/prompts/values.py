"""Which values a template may be given."""

import math
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.prompts.errors import VariablesInvalid
from orchestrator.prompts.phrases import composed
from orchestrator.prompts.steps import MAX_NUMBER, MAX_TEXT

MAX_VARIABLES = 100
MAX_ALL_TEXT = 16_384
"""Characters of all variables together."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# What XML cannot hold, and the private-use characters that mark variables in a rendered document.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ue000-\ue003\ufffe\uffff]")


def checked_values(variables: Mapping[str, str | int | float], code: str | None) -> dict[str, Any]:
    """Return what a template is to see of a job. Raises `VariablesInvalid`, which shows no value."""
    if len(variables) > MAX_VARIABLES:
        raise VariablesInvalid(f"there are more than {MAX_VARIABLES} variables", "give fewer")
    values: dict[str, Any] = {}
    total = 0
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise VariablesInvalid(
                "a variable's name is no name that a template could use",
                "use letters, digits and _, not beginning with a digit, 64 at most",
            )
        if name in ("play", "plays") or (name == "code" and code is not None):
            raise VariablesInvalid(f'the variable "{name}" has a meaning of its own', "give it another name")
        values[name] = value
        total += _size(name, value)
    if total > MAX_ALL_TEXT:
        raise VariablesInvalid(f"the variables have more than {MAX_ALL_TEXT} characters", "make them shorter")
    if code is not None:
        _size("code", code)
        values["code"] = code
    return values


def checked_text(text: str) -> str:
    """Return a free text as it is spoken: in NFC, white space as one blank. Raises `VariablesInvalid`."""
    if len(text) > MAX_TEXT:
        raise VariablesInvalid(f"the text has more than {MAX_TEXT} characters", "make it shorter")
    if _UNSPEAKABLE.search(text):
        raise VariablesInvalid("the text holds a character that cannot be spoken", "take it out")
    return " ".join(composed(text).split())


def _size(name: str, value: object) -> int:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise VariablesInvalid(
                f'the variable "{name}" has more than {MAX_TEXT} characters', "make it shorter"
            )
        if _UNSPEAKABLE.search(value):
            raise VariablesInvalid(
                f'the variable "{name}" holds a character that cannot be spoken', "take it out"
            )
        return len(value)
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > MAX_NUMBER:
            raise VariablesInvalid(f'the variable "{name}" is beyond 10 to the 15th', "make it smaller")
        return 0
    raise VariablesInvalid(f'the variable "{name}" is neither a text nor a number', "correct it")
