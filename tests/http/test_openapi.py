"""The document and the page: true to the routes and the types, and nothing in them from elsewhere."""

import re
from pathlib import Path
from typing import Any

from orchestrator.http.front import app_of
from orchestrator.http.openapi import document
from orchestrator.http.problems import SORTS
from orchestrator.http.reference import page
from orchestrator.http.settings import Http
from tests.http.world import world


def refs(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(refs, node.values()))
    return set().union(*map(refs, node)) if isinstance(node, list) else set()


async def test_it_is_served_and_names_every_route_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        _, served, _ = await it.ask("GET", "/openapi.json")
        app = app_of(it.front)
        routes = {
            (route.method, route.resource.canonical)
            for route in app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        papers = {("GET", "/openapi.json"), ("GET", "/docs")}
        named = {(m.upper(), path) for path, methods in served["paths"].items() for m in methods}
        assert named | papers == routes


def test_every_reference_leads_somewhere() -> None:
    described = document(keyed=True)
    for ref in refs(described):
        _, *way = ref.split("/")
        found: Any = described
        for part in way:
            found = found[part]
        assert found


def test_the_job_is_the_type_that_validates() -> None:
    job = document(keyed=False)["components"]["schemas"]["Job"]
    assert job["additionalProperties"] is False
    assert job["properties"]["to"]["pattern"] == r"^\+[1-9][0-9]{6,14}$"
    assert job["properties"]["priority"]["maximum"] == 9


def test_what_a_job_shows_has_no_secret() -> None:
    shown = document(keyed=False)["components"]["schemas"]["JobFields"]["properties"]
    assert not {"code", "variables", "items"} & set(shown)
    assert {"to", "from", "plays", "user_data"} <= set(shown)


def test_a_key_is_asked_for_only_where_there_are_keys() -> None:
    for keyed in (True, False):
        security = document(keyed=keyed)["paths"]["/v1/jobs"]["post"]["security"]
        assert security == ([{"key": []}] if keyed else [])
        assert "security" not in document(keyed=keyed)["paths"]["/livez"]["get"]


async def test_the_page_needs_no_key_runs_no_script_and_loads_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, Http(keys="keys.json")) as it:
        async with it.client.get(it.server.make_url("/docs")) as answer:
            text = await answer.text()
            assert (answer.status, answer.content_type) == (200, "text/html")
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script" not in text
        assert not re.findall(r"(?:src|href)=\"(?!#|/openapi\.json)", text)


def test_the_page_has_every_operation_type_and_problem_and_its_links_lead_somewhere() -> None:
    described = document(keyed=True)
    text = page(described)
    ids = set(re.findall(r'id="([^"]+)"', text))
    assert {what["operationId"] for path in described["paths"].values() for what in path.values()} <= ids
    assert {f"schema-{name}" for name in described["components"]["schemas"]} <= ids
    assert {f"problem-{name}" for name in SORTS} <= ids
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
