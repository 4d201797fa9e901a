"""The Jinja environment that templates run in: immutable sandbox, autoescape, strict, and bounded.

Jinja's own sandbox keeps a template from the interpreter's inside. It does not keep it from taking for
ever; `steps`, `syntax` and `filters` do, and the operators and calls here.
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, pass_context
from jinja2.exceptions import TemplateNotFound as JinjaTemplateNotFound
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from markupsafe import Markup, escape

from orchestrator.prompts import syntax
from orchestrator.prompts.filters import FILTERS, TESTS, concatenate
from orchestrator.prompts.steps import (
    CHARACTERS_PER_STEP,
    MAX_DEPTH,
    MAX_LIST,
    MAX_RANGE,
    MAX_TEXT,
    Refused,
    StepContext,
    checked,
)


class _Missing(StrictUndefined):
    """A variable without a value. Its message names the variable, never what was looked up in a value."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_obj is missing and self._undefined_hint is None:
            return f'the variable "{self._undefined_name}" has no value'
        return "an element or attribute is not there, or may not be used"


@pass_context
def _mark(context: StepContext, value: object) -> str:
    """Turn a value into what is written to the document: escaped, and marked as inserted."""
    if isinstance(value, str):
        checked(value)
        context.steps.take(2 + len(value) // CHARACTERS_PER_STEP)
        # All of it is marked as inserted, so the marks of what it was made of are not needed; and left in,
        # they could be turned round, `{{ captured|reverse }}`, to stand for the opposite.
        if syntax.MARK_OPEN in value or syntax.MARK_CLOSE in value:
            value = value.replace(syntax.MARK_OPEN, "").replace(syntax.MARK_CLOSE, "")
        shown = escape(value)
    elif isinstance(value, int | float):
        shown = escape(value)
    elif isinstance(value, Undefined):
        str(value)  # raises, and says which variable it is
        raise Refused("a variable has no value")
    else:
        raise Refused("a template can only write texts and numbers")
    return Markup(f"{syntax.MARK_OPEN}{shown}{syntax.MARK_CLOSE}")  # noqa: S704 - escaped above


@pass_context
def _each(context: StepContext, value: object, weight: int) -> object:
    """Let a loop take its turns, which are paid for beforehand."""
    if isinstance(value, Undefined):
        str(value)  # raises, and says which variable it is
    if not isinstance(value, str | list | tuple | range):
        raise Refused("a loop in the template goes over something that is no list")
    checked(value)
    context.steps.take(weight * len(value))
    return value


@pass_context
def _tick(context: StepContext, weight: int) -> None:
    context.steps.take(weight)


@pass_context
def _concat(context: StepContext, parts: list[object]) -> str:
    for part in parts:
        if isinstance(part, Undefined):
            str(part)  # raises, and says which variable it is
    result = concatenate(parts)
    context.steps.take(1 + len(result) // CHARACTERS_PER_STEP)
    return result


@pass_context
def _flat(context: StepContext, value: list[object]) -> object:
    # Lists in lists, doubled a few dozen times, would take for ever to compare.
    if not all(isinstance(element, str | int | float) for element in value):
        raise Refused("a list in the template holds something other than texts and numbers")
    return checked(value)


@pass_context
def _captured(context: StepContext, value: str) -> object:
    return checked(value)


def _range(*bounds: object) -> range:
    if not all(isinstance(bound, int) for bound in bounds):
        raise Refused("range takes whole numbers")
    made = range(*bounds)  # type: ignore[call-overload]  # checked in the line above
    if len(made) > MAX_RANGE:
        raise Refused(f"a range in the template has more than {MAX_RANGE} numbers")
    return made  # type: ignore[no-any-return]  # mypy loses the type with the overload


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """One environment for the templates of one language. `compiled` is filled by `templates`."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "**", "%"))
    context_class: type[Context] = StepContext

    def __init__(self, compiled: Mapping[str, Template]) -> None:
        super().__init__(
            loader=_Compiled(compiled),
            autoescape=True,
            undefined=_Missing,
            finalize=_mark,
            cache_size=0,
            auto_reload=False,
        )
        self.globals = {"range": _range, "namespace": Namespace}
        self.tests = dict(TESTS)
        self.filters = {
            **FILTERS,
            syntax.EACH: _each,
            syntax.TICK: _tick,
            syntax.CONCAT: _concat,
            syntax.FLAT: _flat,
            syntax.CAPTURED: _captured,
        }

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return isinstance(obj, LoopContext | Namespace) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, StepContext)  # noqa: S101 - it is the environment's context class
        context.steps.take(2)
        for operand in (left, right):
            if isinstance(operand, Undefined):
                str(operand)  # raises, and says which variable it is
        if not _bounded(operator, left, right):
            raise Refused(f'the operator "{operator}" in the template does not fit its values')
        return checked(self.binop_table[operator](left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        steps = __context.steps  # type: ignore[attr-defined]  # it is the environment's context class
        steps.take(5)
        if isinstance(__obj, Undefined):
            str(__obj)  # raises, and says which variable it is
        if not _callable(__obj):
            raise Refused("the template calls something that is no macro")
        if steps.depth >= MAX_DEPTH:
            raise Refused(f"more than {MAX_DEPTH} macros inside each other in the template")
        steps.depth += 1
        try:
            result = super().call(__context, __obj, *args, **kwargs)
        finally:
            steps.depth -= 1
        return checked(result)


def _callable(value: object) -> bool:
    if isinstance(value, Macro | BlockReference):
        return True
    if value is _range or value is Namespace:
        return True
    owner = getattr(value, "__self__", None)
    return isinstance(owner, LoopContext) and getattr(value, "__name__", "") in ("cycle", "changed")


def _bounded(operator: str, left: object, right: object) -> bool:
    """Whether an operator may be applied: the result cannot be much larger than `checked` allows."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return operator != "**" or abs(right) <= 64
    if operator == "+":
        if isinstance(left, str) and isinstance(right, str):
            return len(left) + len(right) <= MAX_TEXT
        return isinstance(left, list) and isinstance(right, list) and len(left) + len(right) <= MAX_LIST
    if operator == "*":
        if isinstance(left, int):
            left, right = right, left
        if not isinstance(right, int):
            return False
        if isinstance(left, str):
            return len(left) * right <= MAX_TEXT
        return isinstance(left, list) and len(left) * right <= MAX_LIST
    return False


class _Compiled(BaseLoader):
    """Gives `include` and `extends` what is compiled already; nothing is read when a prompt is made."""

    def __init__(self, compiled: Mapping[str, Template]) -> None:
        self.compiled = compiled

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:
        try:
            return self.compiled[name]
        except KeyError:
            raise JinjaTemplateNotFound(name) from None
