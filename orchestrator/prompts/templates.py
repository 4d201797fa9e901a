"""The templates of one language: compiled when the library is loaded, rendered when a job comes."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from warnings import catch_warnings

from jinja2 import Template, meta
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError

from orchestrator.prompts import syntax
from orchestrator.prompts.errors import LibraryError, PromptError, PromptTooLong, TemplateFailed
from orchestrator.prompts.filters import FILTERS
from orchestrator.prompts.sandbox import PromptEnvironment
from orchestrator.prompts.steps import LIMIT, MAX_DOCUMENT, STEPS, Refused, Steps

MAX_SOURCE = 32_768
"""Characters of a template file."""

# Everything that a template's operations can raise. The stock messages may quote values: never shown.
_BROKEN = (
    TemplateError, ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError,
    RuntimeError, MemoryError,
)  # fmt: skip
_TRACE = re.compile(f"{syntax.TRACE_OPEN}([^{syntax.TRACE_CLOSE}]*){syntax.TRACE_CLOSE}")


class Source(NamedTuple):
    """A template file and what it holds."""

    path: Path
    text: str


class Place(NamedTuple):
    """A line of a template."""

    template: str
    line: int


class Templates:
    """The templates of one language, and the environment they share."""

    def __init__(self, sources: Mapping[str, Source], *, trace: bool = False) -> None:
        """Compile all. Raises `LibraryError` for the first one that cannot be."""
        self._sources = sources
        self._compiled: dict[str, Template] = {}
        self._variables: dict[str, frozenset[str]] = {}
        self._others: dict[str, list[str]] = {}
        self._trace = trace
        environment = PromptEnvironment(self._compiled)
        for name, source in sources.items():
            self._compile(environment, name, source)
        for name in sources:
            self._follow(name, [])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sources)

    def variables(self, name: str) -> frozenset[str]:
        """Return the variables that a template, and those it includes, may ask for."""
        found = set(self._variables[name])
        for other in self._others[name]:
            found |= self.variables(other)
        return frozenset(found)

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a template to a document, with marks round every value that it inserted.

        Raises `TemplateFailed`, `PromptTooLong`. `values` is trusted to hold checked texts and numbers.
        """
        fault: PromptError | None = None
        steps = Steps(2 * LIMIT if self._trace else LIMIT)
        pieces: list[str] = []
        size = 0
        try:
            template = self._compiled[name]
            context = template.new_context({**values, STEPS: steps})
            for piece in template.root_render_func(context):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_DOCUMENT and not self._trace:
                    fault = PromptTooLong(
                        f"the template makes more than {MAX_DOCUMENT} characters of SSML", "make it shorter"
                    )
                    break
        except _BROKEN as error:
            fault = _failure(error)
        if fault is not None:
            # Raised out here, so that it does not keep the first error, and its values, as its context.
            raise fault
        return "".join(pieces)

    def place(self, name: str, values: Mapping[str, Any], at: int, lines: int) -> Place | None:
        """Return the template's line that made the byte `at` of the document, or the text after that tag.

        The document is made once more, with the line of each piece of text written into it.
        """
        try:
            traced = self._traced.render(name, values)
        except PromptError:
            return None
        document = _TRACE.sub("", traced)
        target = len(document.encode()[:at].decode(errors="ignore"))
        if lines >= 0:
            target = document.find(">", target) + 1
            for _ in range(lines):
                target = document.find("\n", target) + 1
        place, line = None, 0
        seen = 0
        start = 0
        for match in _TRACE.finditer(traced):
            piece = traced[start : match.start()]
            if seen + len(piece) > target:
                break
            seen, start = seen + len(piece), match.end()
            place, _, number = match.group(1).partition(":")
            line = int(number)
        if place is None:
            return None
        rest = traced[start:]
        inside = rest[: max(0, target - seen)]
        # White space before the fault belongs to the way there, also where a text begins on the next line.
        gap = len(rest) - len(rest[len(inside) :].lstrip()) - len(inside) if lines >= 0 else 0
        return Place(place, line + inside.count("\n") + rest[len(inside) : len(inside) + gap].count("\n"))

    @cached_property
    def _traced(self) -> "Templates":
        return Templates(self._sources, trace=True)

    def _compile(self, environment: PromptEnvironment, name: str, source: Source) -> None:
        where = str(source.path)
        if len(source.text) > MAX_SOURCE:
            raise LibraryError(f"a template of more than {MAX_SOURCE} characters", "make it shorter", where)
        if not syntax.MARKS.isdisjoint(source.text):
            raise LibraryError("a character between U+E000 and U+E003", "take it out", where)
        fault: LibraryError
        try:
            tree = environment.parse(source.text, name, where)
            rewriter = syntax.Rewriter(name, trace=self._trace)
            self._variables[name] = frozenset(meta.find_undeclared_variables(tree)) - set(environment.globals)
            tree = rewriter.visit(tree)
            tree.set_environment(environment)
            # Python warns of such things as `5[1:2]`; here they fail when, and if, they are rendered.
            with catch_warnings(action="ignore", category=SyntaxWarning):
                code = environment.compile(tree, name, where)
        except TemplateSyntaxError as error:
            what = error.message or "a syntax error"
            fault = LibraryError(what, _mend(what), f"{where}, line {error.lineno}")
        except (ValueError, OverflowError):
            fault = LibraryError("the template holds a number that is too large", "make it smaller", where)
        except SyntaxError as error:
            fault = LibraryError(f"the template cannot be compiled ({error.msg})", "make it simpler", where)
        except (RecursionError, MemoryError):
            fault = LibraryError("the template is too deeply nested to be compiled", "make it simpler", where)
        else:
            self._others[name] = rewriter.others
            self._compiled[name] = Template.from_code(environment, code, environment.globals)
            return
        raise fault

    def _follow(self, name: str, path: list[str]) -> None:
        """Check that what is included exists and does not include itself."""
        for other in self._others[name]:
            where = str(self._sources[name].path)
            if other not in self._sources:
                raise LibraryError(f'there is no template "{other}" to include', "correct the name", where)
            if other == name or other in path:
                raise LibraryError(
                    f'the template includes itself by way of "{other}"', "break the ring", where
                )
            self._follow(other, [*path, name])


def _mend(what: str) -> str:
    if what.startswith("No filter"):
        return f"use one of {', '.join(sorted(FILTERS))}"
    return "correct the template"


def _failure(error: BaseException) -> TemplateFailed:
    """Turn whatever a template raised into an error that shows no value."""
    place = _line(error.__traceback__)
    if isinstance(error, UndefinedError):
        what = error.message or "a variable has no value"
        mend = "give it with the job, or use the filter default"
    elif isinstance(error, Refused):
        what, mend = error.message or "the template does what it may not", "correct the template"
    elif isinstance(error, RecursionError):
        what, mend = "the template calls itself without end", "correct the template"
    else:
        what = "an operation does not fit the values it is given"
        mend = "correct the template or the variables"
    return TemplateFailed(what, mend, f'template "{place.template}", line {place.line}' if place else "")


def _line(traceback: TracebackType | None) -> Place | None:
    """Return the innermost line of a template in a traceback."""
    place = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            place = Place(template.name or "", template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return place
