"""Jobs: what is refused and how it is told, the defaults, and that no message ever shows a secret."""

import json
import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.job import Job, Kind, canonical, examine, is_possible, public, read_job
from orchestrator.validate import Invalid

GOOD: dict[str, Any] = {"to": "+12025550100", "code": "493817"}


def faults(job: Any, **rules: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read_job(job if isinstance(job, bytes | str) else json.dumps(job), **rules)
    return {fault.path: fault.message for fault in refused.value.faults}


def read(**fields: Any) -> Job:
    return read_job(json.dumps(GOOD | fields))


def test_the_defaults_are_the_contracts() -> None:
    job = read()
    assert (job.kind, job.plays, job.ring_timeout, job.longest, job.lifetime) == (Kind.CODE, 2, 30, 120, 120)
    assert (job.priority, job.user_data, job.variables, job.record) == (0, "", {}, False)
    assert [job.from_, job.template, job.language, job.not_before, job.retry, job.notify] == [None] * 6
    retry = read(retry={"attempts": 2}).retry
    assert retry is not None
    assert (retry.delay, set(retry.on)) == (30.0, {"busy", "no_answer", "unreachable", "congested"})


def test_every_fault_is_named_at_once_by_its_path() -> None:
    found = faults(
        {
            "id": "a b",
            "to": "+19999999",
            "from": "15550100",
            "variables": {"1x": "v", "ok": None},
            "plays": 10,
            "ring_timeout": 4,
            "max_duration": 0,
            "expires_in": 86401,
            "not_before": "tomorrow",
            "retry": {"attempts": 6, "delay": -1, "on": ["busy", "happy"]},
            "priority": -1,
            "notify": {"url": 1, "events": ["call.sung"], "evnts": []},
            "user_data": "x" * 257,
            "plyas": 3,
        }
    )
    assert set(found) == {
        "$.id", "$.to", "$.from", "$.code", "$.variables.1x", "$.variables.ok", "$.plays", "$.ring_timeout",
        "$.max_duration", "$.expires_in", "$.not_before", "$.retry.attempts", "$.retry.delay",
        "$.retry.on[1]", "$.priority", "$.notify.url", "$.notify.events[0]", "$.notify.evnts",
        "$.user_data", "$.plyas",
    }  # fmt: skip
    assert "`plays`" in found["$.plyas"]
    assert "`events`" in found["$.notify.evnts"]
    assert "possible" in found["$.to"]


@pytest.mark.parametrize(
    ("given", "meant"), [("language_", "language"), ("retries", "retry"), ("Code", "code"), ("zzz", None)]
)
def test_an_unknown_field_is_told_with_the_nearest_known_one(given: str, meant: str | None) -> None:
    message = faults(GOOD | {given: 1})[f"$.{given}"]
    assert ("Did you mean" in message) == (meant is not None)
    assert meant is None or f"`{meant}`" in message


@pytest.mark.parametrize(
    "number",
    [
        "+1555,PJSIP/x", "+1&x", "+12025550100\n", "+12025550100\r", "\n+12025550100", "+1202555０100",
        "+١٢٠٢٥٥٥٠١٠٠", "12025550100", "+02025550100", "+", "", "+1 202 555 0100", "+1(202)5550100",
        "+12025550100@evil", "+12025550100/x", "+12025550100;x=y", "+12025550100\x00", "++12025550100",
        "+120255501001234567", "+1202555010{}", "+1202|5550100", "tel:+12025550100",
    ],
)  # fmt: skip
def test_what_is_no_plain_number_never_gets_in(number: str) -> None:
    for field in ("to", "from", "caller"):
        assert f"$.{field}" in faults(GOOD | {field: number})


@pytest.mark.parametrize("number", ["+999123456789", "+1202555010", "+19999999"])
def test_a_number_that_cannot_be_is_refused(number: str) -> None:
    assert not is_possible(number)
    assert set(faults(GOOD | {"to": number})) == {"$.to"}


@pytest.mark.parametrize(
    "code", ["1", "12345678901", "12a4", "1234\n", "１２３４", "", " 1234", 1234, None, ["1"]]
)
def test_a_code_is_digits_and_nothing_else(code: object) -> None:
    assert set(faults(GOOD | {"code": code})) == {"$.code"}


def test_the_configuration_may_ask_for_longer_codes() -> None:
    assert read_job(json.dumps(GOOD | {"code": "12"}), min_code_digits=2).code == "12"
    assert set(faults(GOOD | {"code": "1234"}, min_code_digits=6)) == {"$.code"}


@pytest.mark.parametrize("id", ["", "a" * 65, "a/b", "a b", "a\n", "ä", "../x"])
def test_an_id_is_of_the_allowed_characters(id: str) -> None:
    assert set(faults(GOOD | {"id": id})) == {"$.id"}


NOTICE: dict[str, Any] = {"kind": "notice", "to": "+12025550100", "template": "hello"}
CALLBACK: dict[str, Any] = {"kind": "callback", "to": "+12025550100", "caller": "+12025550106"}


@pytest.mark.parametrize(
    ("job", "path"),
    [
        (GOOD | {"items": [{"text": "x"}]}, "$.items"),
        (GOOD | {"gate": {}}, "$.gate"),
        (GOOD | {"caller": "+12025550101"}, "$.caller"),
        (GOOD | {"caller_from": "+12025550101"}, "$.caller_from"),
        (GOOD | {"record": True}, "$.record"),
        (NOTICE | {"code": "123456"}, "$.code"),
        (NOTICE | {"record": True}, "$.record"),
        (NOTICE | {"items": [{"text": "x"}]}, "$.template"),
        ({"kind": "notice", "to": "+12025550100"}, "$.items"),
        (CALLBACK | {"code": "123456"}, "$.code"),
        (CALLBACK | {"gate": {}}, "$.gate"),
        (CALLBACK | {"plays": 2}, "$.plays"),
        (CALLBACK | {"caller": "+12025550100"}, "$.caller"),
        (CALLBACK | {"caller": "+19999999"}, "$.caller"),
        (CALLBACK | {"items": [{"text": "x", "collect": {"max_digits": 1}}]}, "$.items[0].collect"),
        ({"kind": "callback", "to": "+12025550100"}, "$.caller"),
    ],
)
def test_a_kind_has_its_own_fields_and_no_others(job: dict[str, Any], path: str) -> None:
    assert set(faults(job)) == {path}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({}, "$.items[0]"),
        ({"template": "a", "text": "b"}, "$.items[0]"),
        ({"text": "b", "variables": {"a": 1}}, "$.items[0].variables"),
        ({"text": "b", "collect": {"max_digits": 0}}, "$.items[0].collect.max_digits"),
        ({"text": "b", "collect": {"max_digits": 33}}, "$.items[0].collect.max_digits"),
        ({"text": "b", "collect": {"max_digits": 1, "terminator": "1"}}, "$.items[0].collect.replay_on"),
        ({"text": "b", "collect": {"max_digits": 1, "terminator": "##"}}, "$.items[0].collect.terminator"),
        ({"text": "b", "voice": "x"}, "$.items[0].voice"),
    ],
)
def test_an_item_is_one_thing_and_its_keys_are_the_telephones(item: dict[str, Any], path: str) -> None:
    job = {"kind": "notice", "to": "+12025550100", "items": [item]}
    assert set(faults(job)) == {path}


def test_a_list_that_collects_keys_is_gone_through_once() -> None:
    job = {"kind": "notice", "to": "+12025550100", "items": [{"text": "x", "collect": {"max_digits": 1}}]}
    assert read_job(json.dumps(job)).plays == 1
    assert read_job(json.dumps(NOTICE)).plays == 2
    assert set(faults(job | {"plays": 2})) == {"$.plays"}


def test_six_items_are_one_too_many() -> None:
    job = {"kind": "notice", "to": "+12025550100", "items": [{"text": "x"}] * 6}
    assert set(faults(job)) == {"$.items"}


def test_a_callback_lasts_an_hour_at_most_unless_it_says_otherwise() -> None:
    job = read_job(json.dumps(CALLBACK))
    assert (job.longest, job.lifetime, job.record) == (3600, 3600, False)


def test_fields_of_other_kinds_are_refused() -> None:
    found = faults(GOOD | {"items": [{"text": "x"}], "caller": "+12025550101", "record": True})
    assert set(found) == {"$.items", "$.caller", "$.record"}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"to": "\xff"}', "\ud800", "{" * 100_000,
     b"[" * 100_000, b'{"to":1e999}', '{"code":"493817",}', b"\x00"],
)  # fmt: skip
def test_what_is_no_job_at_all_is_told_as_such(raw: bytes | str) -> None:
    found = faults(raw)
    assert set(found) == {"$"}
    assert "493817" not in str(found)


def test_a_name_in_a_message_cannot_move_the_terminal() -> None:
    ((path, _),) = [item for item in faults(GOOD | {"\x1b[2J\n" + "x" * 999: 1}).items() if "x" in item[0]]
    assert path.isprintable()
    assert len(path) < 80


def test_what_is_public_holds_neither_code_nor_variables() -> None:
    job = read(id="j", variables={"name": "Hush"}, user_data="u", notify={"url": "http://x/"})
    stored = msgspec.json.encode(public(job)).decode()
    assert "493817" not in stored
    assert "Hush" not in stored
    assert set(public(job)) >= {"to", "from", "kind", "plays", "user_data", "notify", "id"}


def test_the_content_is_the_same_however_it_is_written() -> None:
    one = read_job('{"to":"+12025550100","code":"493817","variables":{"a":1,"b":2}}')
    two = read_job('{"id":"x","plays":2,"variables":{"b":2,"a":1},"code":"493817","to":"+12025550100"}')
    assert canonical(one) == canonical(two)
    assert canonical(one) != canonical(read(variables={"a": 1, "b": 3}))
    assert canonical(one) != canonical(read_job('{"to":"+12025550100","code":"493818"}'))


def test_examine_gives_what_is_valid_beside_the_faults() -> None:
    job, found = examine(json.dumps(GOOD | {"plays": 99, "priority": 7}))
    assert [fault.path for fault in found] == ["$.plays"]
    assert (job.to, job.priority, job.plays) == (GOOD["to"], 7, 2)


MARK = "731905"
"""Stands in every value that must not be shown."""
names = st.sampled_from([*Job.__struct_encode_fields__, "cod", "variable", "x"])
secret = st.sampled_from(
    [MARK, f"{MARK}x", f"x{MARK}", int(MARK), float(MARK), -int(MARK), [MARK], {"a": MARK}]
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
values = st.recursive(
    st.one_of(secret, plain),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["url", "on", "text", "k 1"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(names, values, max_size=8), st.booleans())
def test_no_message_repr_or_traceback_ever_shows_a_value(fields: dict[str, Any], whole: bool) -> None:
    if whole:
        fields = {"to": "+12025550100", "code": MARK, "variables": {"v": f"name {MARK}"}} | fields
    try:
        job, found = examine(json.dumps(fields))
    except Invalid as refused:
        shown = str(refused) + repr(refused) + "".join(traceback.format_exception(refused))
    else:
        shown = repr(job) + str(found) + repr(found)
        if not isinstance(fields.get("id"), str):
            assert MARK not in shown
        shown = str(found)
    assert MARK not in shown
