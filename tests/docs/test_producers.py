"""docs/producers.md: its jobs, its notifications and its receivers are true."""

from __future__ import annotations

import json
import re
import types
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from orchestrator.call.outcome import Outcome
from orchestrator.job import Collect, Job, Retry, read_job
from orchestrator.notify import payload
from orchestrator.notify.sign import Signer
from tests.docs.pages import PAGES, Block, blocks, ids, names, page, rows, section, title

SECRET = "whsec_YW4gZXhhbXBsZSwgbm90IGZvciByZWFsIHVzZSAxMjM="
EVENTS: tuple[type[payload.Notification], ...] = (
    payload.Dialing,
    payload.Ringing,
    payload.Answered,
    payload.HungUp,
    payload.JobEnded,
)


JSON = [block for name in PAGES for block in blocks(name, "json")]
NOTIFICATIONS = [block for block in JSON if "specversion" in block.text]
JOBS = [block for block in JSON if "specversion" not in block.text]


@pytest.mark.parametrize("block", JOBS, ids=ids(JOBS))
def test_a_job_of_the_examples_is_accepted(block: Block) -> None:
    assert read_job(block.text).to.startswith("+1202555")


def notification(block: Block) -> bytes:
    """What the code would send for this example: the same, if the example is true."""
    shown = json.loads(block.text)
    at = datetime.fromisoformat(shown["time"]).timestamp()
    if shown["type"] == payload.CDR:
        records = [msgspec.convert(record, payload.CdrRecord) for record in shown["data"]["records"]]
        return payload.cdr_envelope(f"{records[0].call_id}+{len(records)}", records, worker="w1", at=at)
    kind = next(kind for kind in EVENTS if shown["type"] == kind.TYPE)
    return payload.envelope(msgspec.convert(shown["data"], kind), worker="w1", at=at)


@pytest.mark.parametrize("block", NOTIFICATIONS, ids=ids(NOTIFICATIONS))
def test_a_notification_of_the_examples_is_what_the_code_sends(block: Block) -> None:
    assert json.loads(notification(block)) == json.loads(block.text)


def test_every_type_that_is_sent_has_an_example() -> None:
    shown = {json.loads(block.text)["type"] for block in NOTIFICATIONS}
    assert shown == {kind.TYPE for kind in EVENTS} | {payload.CDR}


def on_the_wire() -> tuple[bytes, dict[str, str]]:
    """The example that is shown byte for byte, with the headers shown for it."""
    shown = dict(re.findall(r"^(webhook-[a-z]+): (.*)$", page("producers.md"), re.MULTILINE))
    body = next(b.text.strip() for b in NOTIFICATIONS if b.text.startswith('{"specversion"'))
    return body.encode(), shown


def test_the_signature_that_is_shown_is_true() -> None:
    body, shown = on_the_wire()
    assert shown == Signer([SECRET]).headers(json.loads(body)["id"], int(shown["webhook-timestamp"]), body)
    assert page("producers.md").count(shown["webhook-signature"].removeprefix("v1,")) == 2


def python_of(word: str) -> dict[str, Any]:
    """What the page's Python block with `word` in it defines."""
    block = next(block for block in blocks("producers.md", "python") if word in block.text)
    defined: dict[str, Any] = {"__name__": "an_example"}
    exec(compile(block.text, title(block), "exec"), defined)  # noqa: S102 - our own page
    return defined


def test_the_verification_by_hand_takes_what_is_signed_and_nothing_else() -> None:
    verify = python_of("def verify")["verify"]
    body, headers = on_the_wire()
    now = int(headers["webhook-timestamp"])
    assert verify(SECRET, headers, body, now)
    assert not verify(SECRET, headers, body + b" ", now)
    assert not verify(SECRET, headers | {"webhook-id": "evt_0"}, body, now)
    assert not verify(SECRET, headers, body, now + 301)
    two = Signer(["whsec_" + "A" * 43, SECRET]).headers(headers["webhook-id"], now, body)
    assert verify(SECRET, two, body, now)


def test_the_example_receiver_takes_each_event_once_and_no_forged_one() -> None:
    defined = python_of("class Receiver")
    body, _ = on_the_wire()
    now = int(datetime.now(UTC).timestamp())
    headers = Signer([SECRET]).headers(json.loads(body)["id"], now, body)
    taken: list[Any] = []
    answers: list[int] = []

    def read(self: Any, given: dict[str, str], sent: bytes) -> None:
        self.headers = {"Content-Length": str(len(sent)), **given}
        self.rfile = types.SimpleNamespace(read=lambda _length: sent)

    offline = {
        "__init__": read,
        "take": lambda _self, event: taken.append(event),
        "answer": lambda _self, status: answers.append(status),
    }
    receiver: Any = type("Offline", (defined["Receiver"],), offline)
    for given, sent in ((headers, body), (headers, body), (headers, body.replace(b"completed", b"busy"))):
        receiver(given, sent).do_POST()
    assert taken == [json.loads(body)]
    assert answers == [HTTPStatus.NO_CONTENT, HTTPStatus.NO_CONTENT, HTTPStatus.BAD_REQUEST]


def test_every_field_of_a_job_is_in_the_table() -> None:
    documented = [names(row[0])[0] for row in rows(section("producers.md", "## Fields"))]
    assert sorted(documented) == sorted(field.encode_name for field in msgspec.structs.fields(Job))
    retry = [names(row[0])[0] for row in rows(section("producers.md", "## Retries"))]
    assert retry == [field.name for field in msgspec.structs.fields(Retry)]


def test_the_defaults_of_a_job_are_as_the_table_says() -> None:
    job = read_job('{"to": "+12025550100", "code": "493817"}')
    table = {names(row[0])[0]: row[2].strip("`") for row in rows(section("producers.md", "## Fields"))}
    assert float(table["plays"]) == job.plays
    assert float(table["ring_timeout"]) == job.ring_timeout
    assert float(table["max_duration"]) == job.longest
    assert float(table["expires_in"]) == job.lifetime
    assert float(table["priority"]) == job.priority
    assert (table["kind"], table["record"], table["user_data"]) == (job.kind.value, "false", '""')


@pytest.mark.parametrize("title", ["## Notices", "## Callbacks"])
def test_the_example_of_a_kind_is_such_a_job(title: str) -> None:
    text = section("producers.md", title).partition("```json")[2].partition("```")[0]
    assert read_job(text).kind.value in title.lower()


def test_the_keys_that_an_item_asks_for_are_in_the_table_with_their_defaults() -> None:
    table = {names(row[0])[0]: row[1].strip("`") for row in rows(section("producers.md", "## Notices"))}
    fields = {field.name: field for field in msgspec.structs.fields(Collect)}
    assert set(table) == set(fields)
    given = {name: field.default for name, field in fields.items() if name != "max_digits"}
    assert {name: type(value)(table[name]) for name, value in given.items()} == given


def test_every_outcome_is_explained() -> None:
    table = rows(section("producers.md", "## Outcomes, and what to do"))
    assert sorted(names(row[0])[0] for row in table) == sorted(outcome.value for outcome in Outcome)
