"""Whatever a client sends to the ARI face, it is answered, nothing is raised, and the face goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.pbx.virtual.ari.request import Answer, BadBody, Request, read_body
from orchestrator.pbx.virtual.ari.routes import OPERATIONS, dispatch
from orchestrator.pbx.virtual.ari.socket import _read_frame
from tests.pbx.virtual.ari.desk import Desk

anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
named = {name.removesuffix("[]") for each in OPERATIONS for name in each.parameters.split()}
names = st.sampled_from([*sorted(named), "variables", "allowed", "disallowed", "playbackId"])
ids = st.sampled_from(["c", "b", "p", "r", "app", "none", "", "/", "%2F", "x" * 200]) | st.text(max_size=10)
values = (
    st.sampled_from(
        ["app", "c", "b", "1", "-1", "mixing", "pause", "in", "wav", "PJSIP/12025550100@lab", "sound:x"]
    )
    | anything
)
bodies = st.dictionaries(names, values, max_size=6) | anything


@st.composite
def requests(draw: st.DrawFn) -> Request:
    operation = draw(st.sampled_from(OPERATIONS))
    path = "/".join(draw(ids) if part.startswith("{") else part for part in operation.path.split("/"))
    method = draw(st.sampled_from([operation.method, "GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD"]))
    query = draw(st.lists(st.tuples(names, st.text(max_size=10)), max_size=3))
    return Request(method, path, query, draw(bodies))


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=12), st.floats(0, 5))
def test_any_requests_are_answered(asked: list[Request], seconds: float) -> None:
    async def ask() -> None:
        desk = Desk()
        desk.up()
        desk.ask("POST", "bridges/b", {"type": "mixing"})
        desk.ask("POST", "channels/c/play/p", {"media": ["tone:ring"]})
        for request in asked:
            answer = dispatch(desk.face, request)
            if isinstance(answer, Answer):
                assert 200 <= answer.status < 600
                if answer.body and answer.kind == "application/json":
                    json.loads(answer.body)
            desk.pass_time(seconds)
        desk.face.forget()
        desk.switch.forget()
        desk.pass_time(100)
        assert not desk.switch.legs

    asyncio.run(ask())


@settings(max_examples=150)
@given(st.text(max_size=200) | anything.map(lambda each: json.dumps(each, allow_nan=True)))
def test_any_frame_is_a_request_or_is_told_what_is_wrong_with_it(text: str) -> None:
    _, request = _read_frame(text)
    if isinstance(request, Answer):
        assert 400 <= request.status < 500


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(
        {"type": st.just("RESTRequest")},
        optional={
            "method": st.sampled_from(["GET", "POST", "FOO"]),
            "uri": st.text(max_size=30),
            "message_body": st.text(max_size=30),
            "content_type": st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"]),
            "query_strings": st.lists(
                st.dictionaries(st.sampled_from(["name", "value"]), st.text(max_size=9)), max_size=3
            ),
        },
    )
)
def test_any_request_in_a_frame_is_carried_out_or_refused(frame: dict[str, Any]) -> None:
    _, request = _read_frame(json.dumps(frame))
    if isinstance(request, Request):
        desk = Desk()
        assert isinstance(dispatch(desk.face, request), Answer)


@given(
    st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""])
)
def test_any_body_is_read_or_refused(body: bytes, kind: str) -> None:
    with contextlib.suppress(BadBody):
        read_body(body, kind)
