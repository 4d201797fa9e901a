"""What a template may be written with, and where it pays for its steps.

The tree that Jinja parsed is checked against a list of what is allowed, and rewritten: loops, macros,
blocks and whole templates pay when they are entered, `~`, lists and captured texts pass a check of size.
The names of the checks hold a space, so that no template can call or replace them.
"""

from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateAssertionError
from jinja2.visitor import NodeTransformer

from orchestrator.prompts.steps import CHARACTERS_PER_STEP, MAX_NUMBER, MAX_TEXT

EACH = " each"
TICK = " tick"
CONCAT = " concat"
FLAT = " flat"
CAPTURED = " captured"

MARK_OPEN, MARK_CLOSE = "\ue000", "\ue001"
"""Round every value that the template inserts (private-use characters): what stands between them, and
only that, may come from a variable."""
TRACE_OPEN, TRACE_CLOSE = "\ue002", "\ue003"
"""Round the `template:line` of the text that follows, in a rendering made only to find a fault's line."""
MARKS = frozenset((MARK_OPEN, MARK_CLOSE, TRACE_OPEN, TRACE_CLOSE))

_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Add, nodes.And, nodes.Assign, nodes.AssignBlock, nodes.Block, nodes.Call, nodes.CallBlock,
        nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Div, nodes.Extends, nodes.Filter,
        nodes.FloorDiv, nodes.For, nodes.Getattr, nodes.Getitem, nodes.If, nodes.Include, nodes.Keyword,
        nodes.List, nodes.Macro, nodes.Mod, nodes.Mul, nodes.NSRef, nodes.Name, nodes.Neg, nodes.Not,
        nodes.Operand, nodes.Or, nodes.Output, nodes.Pos, nodes.Pow, nodes.Slice, nodes.Sub, nodes.Template,
        nodes.TemplateData, nodes.Test, nodes.Tuple, nodes.With,
    }
)  # fmt: skip
_SPOKEN_OF = {
    nodes.FilterBlock: "{% filter %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from … import %}",
    nodes.Scope: "{% autoescape %}",
    nodes.Dict: "a dictionary",
}
# A comparison may have to look through two long texts.
_COSTS: dict[type[nodes.Node], int] = {nodes.Compare: 40, nodes.Test: 40, nodes.Call: 5, nodes.Include: 20}


class Rewriter(NodeTransformer):
    """Check and rewrite the tree of one template; collect the templates that it includes or extends."""

    def __init__(self, name: str, *, trace: bool) -> None:
        self.name = name
        self.trace = trace
        self.weight = 0
        self.others: list[str] = []

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        kind = type(node)
        if kind not in _ALLOWED:
            what = _SPOKEN_OF.get(kind, kind.__name__)
            self._refuse(f"{what} is not allowed in a prompt template", node)
        self.weight += _COSTS.get(kind, 1)
        return super().visit(node, *args, **kwargs)

    def _refuse(self, what: str, node: nodes.Node) -> None:
        raise TemplateAssertionError(what, node.lineno, self.name)

    def _body(self, body: list[nodes.Node]) -> tuple[list[nodes.Node], int]:
        """Rewrite a body that pays for itself; return it and its weight."""
        outside, self.weight = self.weight, 1
        written = [self.visit(node) for node in body]
        inside, self.weight = self.weight, outside
        return written, inside

    def _paying(self, node: Any) -> Any:
        body, weight = self._body(node.body)
        tick = nodes.Filter(nodes.Const(weight), TICK, [], [], None, None)
        node.body = [nodes.ExprStmt(tick), *body]
        return node

    visit_Template = visit_Block = _paying  # noqa: N815 - the names are Jinja's

    def _defining(self, node: Any) -> Any:
        node.defaults = [self.visit(default) for default in node.defaults]
        if isinstance(node, nodes.CallBlock):
            node.call = self.visit(node.call)
        return self._paying(node)

    visit_Macro = visit_CallBlock = _defining  # noqa: N815 - the names are Jinja's

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        if node.recursive:
            self._refuse("a recursive loop is not allowed in a prompt template", node)
        node.iter = self.visit(node.iter)
        extra = [node.test] if node.test is not None else []
        written, weight = self._body([*extra, *node.body])
        if node.test is not None:
            node.test, *written = written
        node.body = written
        node.else_ = [self.visit(other) for other in node.else_]
        node.iter = nodes.Filter(node.iter, EACH, [nodes.Const(weight)], [], None, None)
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        node.body = [self.visit(child) for child in node.body]
        if node.filter is not None:
            self._refuse("a filter on {% set %} … {% endset %} is not allowed in a prompt template", node)
        node.filter = nodes.Filter(None, CAPTURED, [], [], None, None)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        parts = [self.visit(part) for part in node.nodes]
        return nodes.Filter(nodes.List(parts), CONCAT, [], [], None, None, lineno=node.lineno)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        items = [self.visit(item) for item in node.items]
        return nodes.Filter(nodes.List(items), FLAT, [], [], None, None, lineno=node.lineno)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        if node.ctx == "load":
            return self.visit_List(nodes.List(node.items, lineno=node.lineno))
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        self.weight += len(node.data) // CHARACTERS_PER_STEP
        if self.trace:
            node.data = f"{TRACE_OPEN}{self.name}:{node.lineno}{TRACE_CLOSE}{node.data}"
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        value = node.value
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                self._refuse(f"a text with more than {MAX_TEXT} characters", node)
            if not MARKS.isdisjoint(value):
                self._refuse("a character between U+E000 and U+E003, which mark variables here", node)
        elif isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
            self._refuse("a number beyond 10 to the 15th", node)
        return node

    def _other(self, node: nodes.Extends | nodes.Include) -> nodes.Node:
        if not (isinstance(node.template, nodes.Const) and isinstance(node.template.value, str)):
            self._refuse("extends and include take the name of one template in quotes", node)
        elif isinstance(node, nodes.Include) and not node.with_context:
            self._refuse('"include … without context" is not allowed in a prompt template', node)
        else:
            self.others.append(node.template.value)
        return node

    visit_Extends = visit_Include = _other  # noqa: N815 - the names are Jinja's
