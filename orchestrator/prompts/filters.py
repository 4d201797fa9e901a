"""The filters and tests that a template may use. All written here: the stock ones have no bounds.

`"%999999999d" is even` would format a gigabyte, `|center` and `|round` likewise; so a filter checks what
it is given, what it makes, and pays for the length of both.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Undefined
from jinja2.tests import TESTS as STOCK_TESTS
from markupsafe import Markup, escape

from orchestrator.prompts.steps import (
    CHARACTERS_PER_STEP,
    MAX_LIST,
    MAX_TEXT,
    Refused,
    StepContext,
    checked,
)


def text(value: object) -> str:
    """Return a string or a number as a string; refuse everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise Refused("a text was expected in the template, and something else is there")


def number(value: object) -> int | float:
    """Return a number, read from a string if need be."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        try:
            return float(value) if not value.lstrip("+-").isdecimal() else int(value)
        except ValueError:
            pass
    raise Refused("a number was expected in the template, and something else is there")


def _elements(value: object) -> list[Any]:
    if isinstance(value, str | list | tuple | range):
        if len(value) > MAX_LIST:
            raise Refused(f"a list in the template has more than {MAX_LIST} elements")
        return list(value)
    raise Refused("a list was expected in the template, and something else is there")


def _length(value: object) -> int:
    if isinstance(value, str | list | tuple | range):
        return len(value)
    raise Refused("something without a length was measured in the template")


def _first(value: object) -> object:
    if _length(value) == 0:
        raise Refused("the first of an empty list or text was asked for in the template")
    return value[0]  # type: ignore[index]  # _length has let through sequences only


def _last(value: object) -> object:
    if _length(value) == 0:
        raise Refused("the last of an empty list or text was asked for in the template")
    return value[-1]  # type: ignore[index]  # _length has let through sequences only


def concatenate(parts: list[Any]) -> str:
    """Join texts and numbers, escaping what is not markup yet as soon as one of them is."""
    texts = [text(part) for part in parts]
    if any(isinstance(part, Markup) for part in texts):
        texts = [escape(part) for part in texts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise Refused(f"a text in the template has more than {MAX_TEXT} characters")
    return Markup("").join(texts) if texts and isinstance(texts[0], Markup) else "".join(texts)


def _join(value: object, separator: object = "") -> str:
    parts: list[Any] = []
    for element in _elements(value):
        if parts:
            parts.append(separator)
        parts.append(element)
    return concatenate(parts)


def _replace(value: object, old: object, new: object) -> str:
    source, gone, come = text(value), text(old), text(new)
    if not gone:
        raise Refused("an empty text was to be replaced in the template")
    if len(source) + source.count(gone) * len(escape(come)) > MAX_TEXT:
        raise Refused(f"a text in the template has more than {MAX_TEXT} characters")
    return source.replace(gone, come)


def _round(value: object, digits: object = 0) -> int | float:
    if not isinstance(digits, int) or not 0 <= digits <= 15:
        raise Refused("a number in the template is to be rounded to 0 to 15 digits")
    return round(number(value), digits)


def _default(value: object, default: object = "", even_if_false: object = False) -> object:
    return default if isinstance(value, Undefined) or (even_if_false and not value) else value


def _integer(value: object) -> int:
    result = number(value)
    if not math.isfinite(result):
        raise Refused("a number in the template is infinite")
    return int(result)


def _integral(value: object) -> int:
    if isinstance(value, int):
        return value
    raise Refused("a whole number was expected in the template, and something else is there")


def _limited(function: Callable[..., object]) -> Callable[..., object]:
    """Make a filter out of a plain function: it pays, and neither takes nor makes too large a value."""

    # Passing the context also keeps Jinja from running the filter when it compiles.
    @pass_context
    def run(context: StepContext, value: object, *args: object) -> object:
        if function is not _default:
            for given in (value, *args):
                if isinstance(given, Undefined):
                    str(given)  # raises, and says which variable it is
        cost = 5
        for given in (value, *args):
            if isinstance(given, str):
                checked(given)
                cost += len(given) // CHARACTERS_PER_STEP * 4
            elif isinstance(given, list):
                cost += len(given)
        context.steps.take(cost)
        return checked(function(value, *args))

    return run


_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "abs": lambda value: abs(number(value)),
    "capitalize": lambda value: text(value).capitalize(),
    "d": _default,
    "default": _default,
    "first": _first,
    "float": lambda value: float(number(value)),
    "int": _integer,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": _elements,
    "lower": lambda value: text(value).lower(),
    "replace": _replace,
    "reverse": lambda value: value[::-1] if isinstance(value, str) else _elements(value)[::-1],
    "round": _round,
    "string": text,
    "trim": lambda value: text(value).strip(),
    "upper": lambda value: text(value).upper(),
}
FILTERS = {name: _limited(function) for name, function in _FUNCTIONS.items()}

_STOCK = (
    "defined undefined none true false number integer float string in eq equalto == ne != lt lessthan < "
    "le <= gt greaterthan > ge >="
)
TESTS: dict[str, Callable[..., Any]] = {
    "even": lambda value: _integral(value) % 2 == 0,
    "odd": lambda value: _integral(value) % 2 == 1,
    "divisibleby": lambda value, other: _integral(value) % _integral(other) == 0,
}
_stock: Mapping[str, Any] = STOCK_TESTS
TESTS |= {name: _stock[name] for name in _STOCK.split()}
