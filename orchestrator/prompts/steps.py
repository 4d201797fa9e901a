"""How much a template may do: a count of steps, not of seconds, so that every machine refuses the same ones.

A step is about what one small operation costs, a microsecond or less. Every straight piece of a template
pays for all its nodes when it is entered, and a loop pays for all its turns before the first one; what
depends on the length of a text pays for that too. `LIMIT` steps take well under 50 ms.
"""

from typing import Any

from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context

LIMIT = 20_000
MAX_TEXT = 4_096
"""Characters of any one value in a template."""
MAX_LIST = 100
"""Elements of any list in a template."""
MAX_RANGE = 1_000
MAX_NUMBER = 10**15
MAX_DEPTH = 16
"""Macros inside each other."""
MAX_DOCUMENT = 65_536
"""Bytes of the rendered document, in UTF-8."""

CHARACTERS_PER_STEP = 64
STEPS = " steps"
"""The counter's key among a template's variables. No template can write a name with a space."""


class Refused(TemplateRuntimeError):
    """The template does what it may not. The message holds no value."""


class Steps:
    """What is left to one rendering."""

    __slots__ = ("depth", "left")

    def __init__(self, limit: int = LIMIT) -> None:
        self.left = limit
        self.depth = 0

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused(f"the template does more than {LIMIT} steps; does a loop or a macro not end?")


class StepContext(Context):
    """A template's context that carries the counter, into included templates too."""

    def __init__(self, environment: Any, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(environment, parent, *args, **kwargs)
        self.steps: Steps = parent[STEPS]


def checked(value: object) -> object:
    """Return a value that an operation made, unless it is larger than a value may be."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Refused(f"a text in the template has more than {MAX_TEXT} characters")
    elif isinstance(value, list):
        if len(value) > MAX_LIST:
            raise Refused(f"a list in the template has more than {MAX_LIST} elements")
    elif isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise Refused("a number in the template is beyond 10 to the 15th")
    return value
