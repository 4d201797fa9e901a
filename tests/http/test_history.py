"""A job's notifications made anew from its journal, for a callback with its two legs."""

import msgspec

from orchestrator.call import events as ev
from orchestrator.http.history import notifications
from orchestrator.ledger.records import Entry, Followed, JobRow, JobState
from tests.call.callbacks import ANSWER, CALL, Story
from tests.fakes import EPOCH, body


def followed(story: Story) -> Followed:
    over = story.it.ended_at
    job = JobRow(
        id="a", state=JobState.ENDED if over else JobState.ACTIVE, body=body(kind="callback"),
        created_at=EPOCH, next_at=EPOCH, expires_at=EPOCH + 60, attempts=1, sequence=0, cancel=False,
        outcome="completed" if over else None, reason="" if over else None, ended_at=over,
    )  # fmt: skip
    journal = tuple(Entry(n, at, event) for n, (event, at) in enumerate(story.journal, 1))
    return Followed(job=job, calls=((CALL, 1, journal),))


def told(story: Story) -> list[tuple[str, str | None]]:
    events = [msgspec.json.decode(each.body) for each in notifications(followed(story), "w1")]
    assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    return [(event["type"], event["data"].get("leg")) for event in events]


def test_both_legs_of_a_callback_are_told_of() -> None:
    story = Story().connected()
    assert told(story) == [
        ("call.dialing", "caller"),
        ("call.ringing", "caller"),
        ("call.answered", "caller"),
        ("call.dialing", "callee"),
        ("call.ringing", "callee"),
        ("call.answered", "callee"),
    ]
    story.callee(ev.Ended(16)).feed(ev.Ended(16))
    assert [type for type, _ in told(story)][6:] == ["call.hangup", "job.ended"]


def test_a_callback_whose_caller_is_busy_has_rung_one_only() -> None:
    story = Story().feed(ANSWER[0], ev.Dialed("BUSY"), ev.Ended(17, 486))
    assert told(story)[:2] == [("call.dialing", "caller"), ("call.hangup", "caller")]
    assert [type for type, _ in told(story)][2:] == ["job.ended"]
