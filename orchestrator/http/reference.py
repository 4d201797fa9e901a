"""The reference page, made from the OpenAPI document: one static page, no script, nothing from elsewhere."""

from base64 import b64encode
from hashlib import sha256
from importlib import resources
from typing import Any, Final

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from orchestrator.http.problems import SORTS

_FILES: Final = resources.files("orchestrator.http")
_STYLE: Final = (_FILES / "reference.css").read_text("utf-8")
_PAGE: Final = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

SECURITY: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
}
"""Headers of the page: no script may run in it, and nobody may frame it."""


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document as `openapi.document` makes it."""
    template = _PAGE.from_string((_FILES / "reference.html").read_text("utf-8"))
    operations = [
        (tag, [(path, method, what) for path, methods in document["paths"].items()
               for method, what in methods.items() if tag["name"] in what["tags"]])
        for tag in document["tags"]
    ]  # fmt: skip
    return template.render(
        document=document,
        style=Markup(_STYLE),  # noqa: S704 - a file of ours
        operations=operations,
        schemas=document["components"]["schemas"],
        sorts=SORTS,
    )


def _code(text: str) -> Markup:
    """Text whose `parts in backticks` are code."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


def _kind(schema: dict[str, Any]) -> Markup:
    """A schema in a few words, with links to those that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(each) for each in schema["enum"])
    if "const" in schema:
        return Markup("<code>{}</code>").format(schema["const"])
    type_ = schema.get("type", "any")
    if type_ == "array" and isinstance(schema.get("items"), dict):
        return Markup("list of {}").format(_kind(schema["items"]))
    if type_ == "object" and isinstance(schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(_kind(schema["additionalProperties"]))
    return Markup("{}{}").format(schema.get("format", type_), _bounds(schema))


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if schema.get("maxLength") is not None:
        return f", {schema['maxLength']} characters at most"
    return ""


def _meaning(schema: dict[str, Any]) -> Markup:
    """What is said of a field, or of the first of its types."""
    said = (each.get("description") for each in (schema, *schema.get("anyOf", ())))
    meaning = _code(next((text for text in said if text), ""))
    default = schema.get("default")
    if default in (None, "", {}):
        return meaning
    shown = msgspec.json.encode(default).decode()
    return meaning + Markup(' <span class="dim">default <code>{}</code></span>').format(shown)


_PAGE.filters.update(code=_code, kind=_kind, meaning=_meaning)
