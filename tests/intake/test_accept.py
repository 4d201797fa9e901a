"""The intake: what is stored of a job, and all that is refused before it is."""

import json
import uuid
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.guard.seal import Seal
from orchestrator.intake.accept import MAX_JOB_BYTES, Rules, accept, new_id
from orchestrator.intake.say import Voices
from orchestrator.ledger.intent import DialPlan
from orchestrator.ledger.records import NewJob, Script
from orchestrator.prompts import load_library
from orchestrator.validate import Invalid
from tests.prompts.small_library import write_library

NOW = 1_800_000_000.0
SEAL = Seal(b"k" * 32)
GOOD: dict[str, Any] = {"to": "+12025550100", "code": "493817"}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    root: Path = write_library(tmp_path_factory.mktemp("sounds"))
    broken = tmp_path_factory.mktemp("templates")
    (broken / "broken.ssml").write_text("<speak>{{ 1 / 0 }}</speak>")
    (broken / "forever.ssml").write_text("<speak>{% for a in range(99999) %}{% endfor %}</speak>")
    (broken / "unspoken.ssml").write_text("<speak>Nobody recorded this</speak>")
    (broken / "greet.ssml").write_text("<speak>Hello,</speak>")
    (broken / "press.ssml").write_text(
        "<speak>Hello, <say-as interpret-as='digits'>{{ digit }}</say-as></speak>"
    )
    (broken / "number.ssml").write_text("<speak><say-as interpret-as='digits'>{{ n }}</say-as></speak>")
    (broken / "named.ssml").write_text("<speak>Hello, {{ name }}</speak>")
    return Rules(
        voices=Voices(load_library([root], template_dirs=[broken]), "en"),
        seal=SEAL,
        min_code_digits=4,
        caller_ids=frozenset({"+15550100"}),
        notify_url="http://127.0.0.1:9000/events",
        signs=True,
        allow_networks=(ip_network("10.0.0.0/8"),),
    )


def take(rules: Rules, **fields: Any) -> NewJob:
    return accept(json.dumps(GOOD | fields), rules, NOW, bytes(range(10)))


def faults(rules: Rules, **fields: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        take(rules, **fields)
    return {fault.path: fault.message for fault in refused.value.faults}


def test_what_is_stored_in_the_clear_holds_no_secret_and_all_that_dialling_needs(rules: Rules) -> None:
    job = take(rules, id="j1", priority=3, **{"from": "+15550100"}, user_data="u", variables={"x": "hush"})
    assert b"493817" not in job.body + job.sealed + job.fingerprint
    assert b"hush" not in job.body
    assert b"digits/" not in job.body
    assert "493817" not in repr(job)
    plan = msgspec.json.decode(job.body, type=DialPlan)
    assert (plan.to, plan.plays, plan.ring_timeout, plan.max_duration) == ("+12025550100", 2, 30.0, 120.0)
    assert plan.play_seconds % 5 == 0
    assert (job.id, job.priority, job.caller_id) == ("j1", 3, "+15550100")
    assert (job.created_at, job.not_before, job.expires_at) == (NOW, NOW, NOW + 120)


def test_what_is_sealed_is_the_playlist_of_each_play(rules: Rules) -> None:
    job = take(rules, plays=3)
    script = msgspec.json.decode(SEAL.open(job.id, job.sealed), type=Script)
    assert len(script.plays) == 3
    spoken = [sound.removeprefix("en/digits/") for sound in script.plays[0] if "/digits/" in sound]
    assert "".join(spoken) == GOOD["code"]
    assert "digits" not in repr(script)


def test_the_same_content_has_the_same_fingerprint_whatever_its_id_and_time(rules: Rules) -> None:
    one = accept(json.dumps(GOOD), rules, NOW, b"a" * 10)
    two = accept(json.dumps(GOOD | {"id": "x", "plays": 2}), rules, NOW + 9, b"b" * 10)
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != take(rules, code="493818").fingerprint


@given(st.floats(0, 2**47 / 1000), st.binary(min_size=10, max_size=10))
def test_a_made_id_is_a_uuid_of_version_7_that_sorts_by_time(at: float, entropy: bytes) -> None:
    made = uuid.UUID(new_id(at, entropy))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(at * 1000)
    assert str(made) == new_id(at, entropy)
    assert new_id(at, entropy) < new_id(at + 1, entropy)


def test_times_are_counted_from_the_acceptance(rules: Rules) -> None:
    job = take(rules, expires_in=600, not_before="2027-01-15T08:05:00Z")  # NOW is 08:00:00
    assert (job.not_before, job.expires_at) == (NOW + 300, NOW + 600)
    assert take(rules, not_before="2001-01-01T00:00:00+08:00").not_before == NOW


def test_a_not_before_after_the_expiry_is_refused_with_the_time(rules: Rules) -> None:
    assert "08:02:00" in faults(rules, not_before="2027-01-15T08:02:00Z")["$.not_before"]


@pytest.mark.parametrize(
    "edge", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59.999999Z"]
)
def test_times_at_the_edge_of_the_calendar_are_no_accident(rules: Rules, edge: str) -> None:
    if edge.startswith("9"):
        assert set(faults(rules, not_before=edge)) == {"$.not_before"}
    else:
        assert take(rules, not_before=edge).not_before == NOW


def test_a_caller_id_must_be_one_of_the_configured(rules: Rules) -> None:
    assert "+15550100" in faults(rules, **{"from": "+15550199"})["$.from"]


A, B, C = (f"+1555010{n}" for n in range(3))


@pytest.mark.parametrize(
    ("nodes", "found_by"),
    [
        ([{A, B}], A),
        ([{A}, {A, B}], B),  # the first node has `from`, and would show a number that is not its own
        ([{B}, {A, B}], A),
        ([{A, B}, {C}], A),
        ([{A}, {B}], None),
        ([{A}, {A, B}, {B}], None),
    ],
)
def test_a_callback_goes_only_to_nodes_that_may_show_both_its_numbers(
    rules: Rules, nodes: list[set[str]], found_by: str | None
) -> None:
    own = replace(rules, caller_ids=frozenset({A, B, C}), caller_sets=tuple(map(frozenset, nodes)))
    fields: dict[str, Any] = {"kind": "callback", "caller": "+12025550111", "from": A, "caller_from": B}
    if found_by is None:
        assert set(notice_faults(own, **fields)) == {"$.caller_from"}
    else:
        assert notice(own, **fields)[0].caller_id == found_by


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x", "http://192.168.1.1/", "http://[::1]/", "http://169.254.169.254/latest",
        "ftp://example.com/", "http://", "http://user:pw@example.com/", "nonsense", "http://0x7f000001/",
    ],
)  # fmt: skip
def test_a_webhook_address_that_leads_inside_is_refused(rules: Rules, url: str) -> None:
    assert set(faults(rules, notify={"url": url})) == {"$.notify.url"}


def test_a_webhook_address_may_be_the_configured_one_or_in_an_allowed_network(rules: Rules) -> None:
    for url in ("http://127.0.0.1:9000/events", "http://10.1.2.3/hook", "https://example.com/hook"):
        assert b"notify_url" in take(rules, notify={"url": url, "events": ["call.answered"]}).body


def test_a_webhook_address_without_a_secret_to_sign_with_is_refused(rules: Rules) -> None:
    unsigned = msgspec.structs.replace(rules, notify_url=None, signs=False)
    with pytest.raises(Invalid, match=r"notify\.secret"):
        accept(json.dumps(GOOD | {"notify": {"url": "https://example.com/"}}), unsigned, NOW, bytes(10))
    accept(json.dumps(GOOD), unsigned, NOW, bytes(10))


@pytest.mark.parametrize(
    ("template", "told"),
    [("nowhere", "no template"), ("broken", "line 1"), ("forever", "forever"), ("unspoken", "unspoken"),
     ("named", "name")],
)  # fmt: skip
def test_a_template_that_cannot_be_spoken_refuses_the_job(rules: Rules, template: str, told: str) -> None:
    found = faults(rules, template=template)
    assert set(found) <= {"$.template", "$.variables"}
    assert told in str(found)
    assert "493817" not in str(found)


def test_a_language_falls_back_and_one_that_is_none_is_refused(rules: Rules) -> None:
    assert b"zh-CN" in take(rules, language="zh-CN").body
    assert b"sounds" not in take(rules, language="fr").body
    assert set(faults(rules, language="not a tag")) == {"$.language"}


def test_a_prompt_longer_than_the_call_may_be_is_refused(rules: Rules) -> None:
    assert "takes up to" in faults(rules, plays=9, max_duration=3)["$.max_duration"]


def test_faults_of_every_kind_are_told_together(rules: Rules) -> None:
    found = faults(
        rules, to="+19999999", priority=10, template="nowhere", plyas=1, not_before="2027-02-01T00:00:00Z",
        notify={"url": "http://127.0.0.1/"}, **{"from": "+15550199"},
    )  # fmt: skip
    assert set(found) == {
        "$.to", "$.priority", "$.template", "$.plyas", "$.not_before", "$.notify.url", "$.from"
    }  # fmt: skip


@pytest.mark.parametrize("bad", [{"plays": 0}, {"code": "12x"}, {"variables": {"": "x"}}])
def test_a_missing_template_is_told_beside_a_fault_in_what_it_would_speak(
    rules: Rules, bad: dict[str, Any]
) -> None:
    found = faults(rules, template="nowhere", **bad)
    assert "no template" in found["$.template"]
    assert len(found) == 2


def test_a_bad_language_tells_nothing_about_templates(rules: Rules) -> None:
    assert set(faults(rules, template="nowhere", language="no tag", plays=0)) == {"$.language", "$.plays"}


def test_a_job_that_is_too_long_is_refused_unread(rules: Rules) -> None:
    with pytest.raises(Invalid, match="longer than"):
        accept(b" " * (MAX_JOB_BYTES + 1), rules, NOW, bytes(10))


MARK = "731905"


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"to": st.just("+12025550100"), "code": st.just(MARK)},
        optional={
            "variables": st.dictionaries(
                st.sampled_from(["name", "x", "code", "play"]),
                st.sampled_from([MARK, int(MARK), f"<{MARK}>"]),
            ),
            "template": st.sampled_from(["code", "broken", "named", "unspoken", "nowhere"]),
            "language": st.sampled_from(["en", "zh", "xx", "!"]),
            "plays": st.sampled_from([1, 9, 0]),
            "max_duration": st.sampled_from([1, 60]),
            "kind": st.sampled_from(["code", "notice", MARK]),
        },
    )
)
def test_no_fault_and_nothing_stored_ever_shows_the_code_or_a_variable(
    rules: Rules, fields: dict[str, Any]
) -> None:
    try:
        job = accept(json.dumps(fields), rules, NOW, bytes(10))
        shown = repr([job, job.body, job.fingerprint])
    except Invalid as refused:
        shown = str(refused)
    assert MARK not in shown


def test_rules_show_nothing(rules: Rules) -> None:
    assert repr(rules) == "Rules(…)"


# ── notices ──


def notice(rules: Rules, **fields: Any) -> tuple[NewJob, Script]:
    job = accept(json.dumps({"kind": "notice", "to": "+12025550100"} | fields), rules, NOW, bytes(range(10)))
    return job, msgspec.json.decode(SEAL.open(job.id, job.sealed), type=Script)


def notice_faults(rules: Rules, **fields: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        notice(rules, **fields)
    return {fault.path: fault.message for fault in refused.value.faults}


def plan_of(job: NewJob) -> ev.Notice:
    found = msgspec.json.decode(job.body, type=DialPlan).notice
    assert found is not None
    return found


def test_a_notice_of_a_template_is_played_twice_and_asks_for_nothing(rules: Rules) -> None:
    job, script = notice(rules, template="greet")
    assert plan_of(job) == ev.Notice((None,))
    assert len(script.plays) == 2
    assert script.plays[0] == script.plays[1]


def test_the_items_of_a_notice_are_stored_in_order_with_the_keys_they_ask_for(rules: Rules) -> None:
    items = [
        {"template": "greet"},
        {"sound": "en/phrases/hello", "collect": {"max_digits": 4, "timeout": 3}},
        {"text": "Hello,"},
    ]
    job, script = notice(rules, items=items)
    asked = ev.Collect(4, 3.0)
    assert plan_of(job) == ev.Notice((None, asked, None))
    assert len(script.plays) == 3
    assert script.plays[1][0] == "en/phrases/hello"
    assert b"items" not in job.body


def test_the_gate_comes_first_and_knows_its_key(rules: Rules) -> None:
    job, script = notice(rules, template="greet", gate={"digit": "5", "plays": 2, "template": "press"})
    assert plan_of(job).gate == ev.Gate("5", 2, 5.0)
    assert len(script.plays) == 3
    assert "en/digits/5" in script.plays[0]


def test_what_an_item_cannot_say_is_named_by_its_path(rules: Rules) -> None:
    items = [{"template": "nowhere"}, {"sound": "en/phrases/nowhere"}, {"text": "Nobody recorded this"}]
    assert set(notice_faults(rules, items=items)) == {
        "$.items[0].template",
        "$.items[1].sound",
        "$.items[2].text",
    }
    assert set(notice_faults(rules, template="greet", gate={"template": "nowhere"})) == {"$.gate.template"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"items": [{"text": "..."}]}, "$.items[0].text"),
        ({"items": [{"text": "a\x00b"}]}, "$.items[0].text"),
        ({"items": [{"template": "number", "variables": {"play": 1}}]}, "$.items[0].variables"),
        ({"template": "greet", "variables": {"play": 1}}, "$.variables"),
        ({"template": "number", "gate": {"template": "press"}, "variables": {"play": 1}}, "$.variables"),
        ({"kind": "callback", "caller": "+12025550111", "record": True}, "$.record"),
    ],
)
def test_every_fault_is_at_a_field_that_the_job_has(rules: Rules, fields: dict[str, Any], path: str) -> None:
    assert set(notice_faults(rules, **fields)) == {path}


def test_a_free_text_that_cannot_be_spoken_is_not_quoted(rules: Rules) -> None:
    found = notice_faults(rules, items=[{"text": "the secret word is mellon"}])
    assert "mellon" not in str(found)


def test_an_items_variables_go_before_the_jobs(rules: Rules) -> None:
    _, script = notice(
        rules,
        variables={"n": "1"},
        items=[{"template": "number"}, {"template": "number", "variables": {"n": "2"}}],
    )
    assert [[sound for sound in play if "digits" in sound] for play in script.plays[:2]] == [
        ["en/digits/1"],
        ["en/digits/2"],
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        "</speak><speak><audio src='http://10.0.0.1/x'/>",
        "<say-as interpret-as='digits'>1</say-as>",
        "{{ 7 * 7 }}{% for a in range(9) %}",
        "\x00\x1b[2J\u202e",
        "&xxe; <!DOCTYPE x [<!ENTITY xxe SYSTEM 'file:///etc/passwd'>]>",
        "A" * 1024,
    ],
)
def test_a_hostile_variable_is_no_markup_and_is_not_quoted(rules: Rules, hostile: str) -> None:
    found = notice_faults(rules, template="named", variables={"name": hostile})
    assert set(found) <= {"$.template", "$.variables", "$.variables.name"}
    assert hostile not in str(found)
