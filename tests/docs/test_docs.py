"""The pages of docs/ say what the code says: no drift."""

from __future__ import annotations

import ast
import json
import re
import shutil
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from prometheus_client import Metric

from orchestrator import config as configuration
from orchestrator.config import Config, Keys, load_config
from orchestrator.environ import ENV_PREFIX
from orchestrator.intake.running import IntakeMeters
from orchestrator.meters import Meters
from orchestrator.prompts import load_library, packaged_root, prepare
from orchestrator.prompts.folders import LanguageFile
from tests.docs import commands
from tests.docs.pages import DOCS, PAGES, Block, blocks, ids, names, page, rows, section

PACKAGE = Path(configuration.__file__).parent


# ── configuration.md ──────────────────────────────────────────────────────────────────────────────────


def struct_of(type_: Any) -> type[msgspec.Struct]:
    """The section's struct in a field's type: itself, one of a union's, or a list's member."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return type_
    assert get_origin(type_) in (Union, types.UnionType, tuple), type_
    return next(struct_of(arg) for arg in get_args(type_) if arg is not types.NoneType)


SECTIONS = {field.name: struct_of(field.type) for field in msgspec.structs.fields(Keys)}


LISTS = ("pbx", "intake")


def heading_of(name: str) -> str:
    return f"## [[{name}]]" if name in LISTS else f"## [{name}]"


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    if field.default in (msgspec.NODEFAULT, None):
        return "–"
    return f"`{json.dumps(field.default)}`"


def test_every_section_of_the_configuration_is_explained_and_no_other() -> None:
    assert sorted(re.findall(r"^## \[+(\w+)\]+$", page("configuration.md"), re.MULTILINE)) == sorted(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_keys_defaults_and_variables_are_those_of_the_code(name: str) -> None:
    prefix = f"{ENV_PREFIX}{name.upper()}__" + ("0__" if name in LISTS else "")
    expected = {
        field.name: (shown_default(field), f"`{prefix}{field.name.upper()}`")
        for field in msgspec.structs.fields(SECTIONS[name])
    }
    documented = {
        names(key)[0]: (default, variable)
        for key, default, variable, *_ in rows(section("configuration.md", heading_of(name)))
    }
    assert documented == expected


TOML = [block for name in PAGES for block in blocks(name, "toml")]


@pytest.mark.parametrize("block", TOML, ids=ids(TOML))
def test_a_toml_example_can_be_loaded(block: Block, tmp_path: Path) -> None:
    if re.match(r"tag =", block.text):
        assert msgspec.toml.decode(block.text, type=LanguageFile).tag
        return
    secret = tmp_path / "secret"
    secret.write_text("a secret", "utf-8")
    file = tmp_path / "orchestrator.toml"
    file.write_text(re.sub(r'_file = "[^"]*"', f'_file = "{secret}"', block.text), "utf-8")
    assert isinstance(load_config(file, {}), Config)


# ── operators.md ──────────────────────────────────────────────────────────────────────────────────────


def logged() -> set[str]:
    """The first argument of every call of a logger in the package."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "_log"), attr="info" | "warning" | "error"),
                    args=[ast.Constant(value=str(event)), *_],
                ):
                    found.add(event)
                case ast.Call(func=ast.Name(id="write"), args=[ast.Constant(value=str(event)), *_]):
                    found.add(event)
    return found


def test_every_event_of_the_log_is_in_the_table_and_no_other() -> None:
    documented = [names(row[0])[0] for row in rows(section("operators.md", "## Log"))]
    assert sorted(documented) == sorted(logged())


def test_every_metric_is_in_the_table_with_its_kind_and_no_other() -> None:
    registry = Meters().registry
    IntakeMeters(registry)
    metrics: list[Metric] = list(registry.collect())
    expected = {
        metric.name + ("_total" if metric.type == "counter" else ""): metric.type for metric in metrics
    }
    table = rows(section("operators.md", "## Metrics"))
    assert {names(row[0])[0]: row[1] for row in table} == expected
    for name in re.findall(r"orchestrator_[a-z_]+", " ".join(page(p) for p in PAGES)):
        assert name in expected, f"there is no metric {name}"


# ── prompts.md ────────────────────────────────────────────────────────────────────────────────────────


TEMPLATES = blocks("prompts.md", "xml")


@pytest.mark.parametrize("block", TEMPLATES, ids=ids(TEMPLATES))
def test_a_template_of_the_examples_can_be_spoken(block: Block, tmp_path: Path) -> None:
    phrases = tmp_path / "library" / "en" / "phrases"
    phrases.mkdir(parents=True)
    shutil.copy(packaged_root() / "en" / "phrases" / "hello.wav", phrases / "acme-bank.wav")
    own = next(b.text for b in blocks("prompts.md", "toml") if 'tag = "en"' in b.text)
    (phrases.parent / "language.toml").write_text(own, "utf-8")
    (tmp_path / "prompts" / "en").mkdir(parents=True)
    (tmp_path / "prompts" / "en" / "example.ssml").write_text(block.text, "utf-8")
    library = load_library([packaged_root(), tmp_path / "library"], [tmp_path / "prompts"])
    prepared = prepare(library, "en", "example", code="493817", variables={}, plays=2, default_language="en")
    spoken = [item.text for item in prepared.plays[1]]
    assert [text for text in spoken if text in set("0123456789")][-6:] == list("493817")


# ── every page ────────────────────────────────────────────────────────────────────────────────────────


COMMANDS = sorted({(name, words) for name in PAGES for words in commands.shown_on(name)})


@pytest.mark.parametrize(("name", "words"), COMMANDS)
def test_a_command_that_is_shown_exists(name: str, words: str) -> None:
    assert commands.fault_of(words) is None, f"{name}: orchestrator {words}"


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert commands.fault_of("sing +12025550100") is not None
    assert commands.fault_of("call +12025550100 --loudly") is not None
    assert commands.fault_of("deadletters sing --all") is not None
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (DOCS / file).resolve() if file else DOCS / name
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, link


@pytest.mark.parametrize("picture", sorted(DOCS.glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_fetches_nothing_from_elsewhere(picture: Path) -> None:
    addresses = set(re.findall(r"https?://[^\s\"')]+", picture.read_text("utf-8")))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
