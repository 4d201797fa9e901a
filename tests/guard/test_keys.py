"""Keys: made, found again, and what they allow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from orchestrator.guard.bucket import Bucket
from orchestrator.guard.keys import ENTROPY, Key, beyond, check_key, make_key
from orchestrator.job import Job

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FIRST, SECOND = bytes(range(ENTROPY)), bytes(range(1, ENTROPY + 1))


def a_job(**fields: Any) -> Job:
    return msgspec.convert({"to": "+12025550100", "code": "493817", **fields}, Job)


def paths(job: Job, **may: Any) -> list[str]:
    key, _ = make_key("shop", NOW, FIRST, **may)
    return [fault.path for fault in beyond(key, job)]


def test_a_key_is_found_by_its_text_and_by_nothing_else() -> None:
    key, text = make_key("shop", NOW, FIRST)
    other, _ = make_key("bank", NOW, SECOND)
    keys = {each.id: each for each in (key, other)}
    assert check_key(keys, text, NOW) is key
    assert check_key({other.id: other}, text, NOW) is None
    stolen = text.replace(key.id, other.id)  # the secret of one with the id of another
    for wrong in (stolen, text[:-1], text + "A", text.upper(), text + "\n", "", "ork__", key.id, key.sha256):
        assert check_key(keys, wrong, NOW) is None


def test_what_is_stored_and_shown_tells_nothing_of_the_secret() -> None:
    key, text = make_key("shop", NOW, FIRST)
    secret = text.rpartition("_")[2]
    assert len(secret) == 43
    assert secret not in msgspec.json.encode(key).decode() + repr(key)
    assert make_key("shop", NOW, SECOND)[1] != text


def test_a_key_ends_at_its_expiry() -> None:
    key, text = make_key("shop", NOW, FIRST, expires_at=NOW + timedelta(days=1))
    assert check_key({key.id: key}, text, NOW) is key
    assert check_key({key.id: key}, text, NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(
    "may",
    [
        {"kinds": ["fax"]},
        {"caller_ids": ["0049"]},
        {"to_prefixes": ["1"]},
        {"templates": ["../x"]},
        {"rate": 0},
        {"concurrent": 0},
    ],
)
def test_limits_that_do_not_fit_make_no_key(may: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        make_key("shop", NOW, FIRST, **may)
    with pytest.raises(msgspec.ValidationError):
        make_key("a shop", NOW, FIRST)


def test_a_key_without_limits_allows_everything() -> None:
    assert paths(a_job()) == []


def test_kinds_numbers_and_caller_ids_are_kept_to() -> None:
    assert paths(a_job(), kinds=["notice", "callback"]) == ["$.kind"]
    assert paths(a_job(), to_prefixes=["+44"]) == ["$.to"]
    assert paths(a_job(), to_prefixes=["+44", "+1202"]) == []
    assert paths(a_job(caller="+15005550100"), to_prefixes=["+1202"]) == ["$.caller"]
    assert paths(a_job(), caller_ids=["+15550100"]) == ["$.from"]
    named = a_job(**{"from": "+15550100", "caller_from": "+15550101"})
    assert paths(named, caller_ids=["+15550100"]) == ["$.caller_from"]


def test_with_templates_nothing_else_may_be_spoken() -> None:
    assert paths(a_job(), templates=["code"]) == []
    assert paths(a_job(), templates=["greeting"]) == ["$.template"]
    items = [{"template": "greeting"}, {"text": "buy now"}, {"sound": "own/advert"}, {"template": "other"}]
    notice = a_job(kind="notice", items=items, gate={})
    assert paths(notice, templates=["greeting"]) == [
        "$.items[1].text",
        "$.items[2].sound",
        "$.items[3].template",
    ]
    gated = a_job(kind="notice", template="greeting", gate={"template": "own-gate"})
    assert paths(gated, templates=["greeting"]) == ["$.gate.template"]


def test_no_fault_of_a_job_shows_what_was_in_it() -> None:
    key, _ = make_key("shop", NOW, FIRST, kinds=["notice"], to_prefixes=["+44"], templates=["greeting"])
    assert not {"493817", "2025550100"} & set(" ".join(map(str, beyond(key, a_job()))).split())


def test_a_bucket_gives_a_seconds_worth_at_once_and_then_evenly() -> None:
    bucket = Bucket(5)
    assert [bucket.take(100.0) for _ in range(5)] == [0] * 5
    assert bucket.take(100.0) == pytest.approx(0.2)
    assert bucket.take(100.2) == 0
    assert bucket.take(100.2) == pytest.approx(0.2)
    assert [bucket.take(900.0) for _ in range(6)].count(0) == 5


def test_a_slow_bucket_gives_one_and_a_clock_that_steps_back_gives_none() -> None:
    bucket = Bucket(0.5)
    assert bucket.take(10.0) == 0
    assert bucket.take(10.0) == pytest.approx(2.0)
    assert bucket.take(5.0) == pytest.approx(2.0)
    assert bucket.take(7.0) == 0


def test_a_key_reads_back_as_it_was_written() -> None:
    key, _ = make_key("shop", NOW, FIRST, kinds=["code"], rate=2.5)
    assert msgspec.json.decode(msgspec.json.encode(key), type=Key) == key
