"""The story of a call as it is shown: live, as lines, as JSON."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from orchestrator.call import events as ev
from orchestrator.call.events import CallEvent
from orchestrator.cli.plain import JsonLines, PlainLines
from orchestrator.cli.screen import Screen
from orchestrator.cli.timeline import Story, story
from orchestrator.ledger.records import Entry, Followed, JobRow, JobState, Summary
from tests.call import callbacks

T0 = 1_800_000_000.0
BODY = b'{"kind":"code","to":"+12025550100","from":"+12025550199","plays":2}'
PLANNED = ev.Planned("ast1", "+12025550100", 2, 10, 30.0, 120.0, "+12025550199")
HEARD: list[tuple[float, CallEvent]] = [
    (0.1, PLANNED),
    (0.2, ev.Accepted()),
    (0.3, ev.Ringing()),
    (1.3, ev.Answered()),
    (1.3, ev.Ready()),
    (1.4, ev.PlayStarted("c-1")),
    (6.4, ev.PlayFinished("c-1")),
    (6.5, ev.PlayStarted("c-2")),
    (11.5, ev.PlayFinished("c-2")),
    (11.6, ev.Ended(16)),
]
BUSY: list[tuple[float, CallEvent]] = [(0.1, PLANNED), (0.2, ev.Accepted()), (0.3, ev.Ended(17, 486))]


def told(
    events: list[tuple[float, CallEvent]], outcome: str | None = None, reason: str = "", call: str = "c"
) -> Story:
    journal = tuple(Entry(n, T0 + at, event) for n, (at, event) in enumerate(events, start=1))
    job = JobRow(
        id="j1",
        state=JobState.ENDED if outcome else JobState.ACTIVE if events else JobState.QUEUED,
        body=BODY,
        created_at=T0,
        next_at=T0,
        expires_at=T0 + 120,
        attempts=1 if events else 0,
        sequence=0,
        cancel=False,
        outcome=outcome,
        reason=reason or None,
        ended_at=T0 + events[-1][0] if outcome else None,
    )
    return story(Followed(job=job, calls=((call, 1, journal),) if events else ()))


def summary(of: Story, problem: str = "", **states: int) -> Summary:
    return Summary(job=of.job, cdrs=(), notifications=states, problem=problem)


def frame(
    at: float, events: list[tuple[float, CallEvent]], note: str = "", outcome: str | None = None
) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None, highlight=False)
    screen = Screen(console, (5000, 5000))
    console.print(screen._frame(T0 + at, told(events, outcome), note))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("count", "at", "said"),
    [
        (0, 0.05, "waiting to dial"),
        (1, 0.15, "asking the PBX to dial"),
        (2, 0.25, "waiting for the far end"),
        (3, 0.9, "ringing"),
        (6, 3.9, "2.5 / 5.0 s"),
        (7, 6.45, "play 1 of 2"),
        (9, 11.55, "hanging up"),
    ],
)
def test_each_moment_shows_what_happens_now_within_80_columns(count: int, at: float, said: str) -> None:
    shown = frame(at, HEARD[:count])
    assert said in shown
    assert "+12025550100" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_note_takes_the_place_of_the_hint() -> None:
    assert "Ctrl-C hangs up" in frame(0.9, HEARD[:3])
    assert "ast1: not there" in frame(0.9, [], note="ast1: not there")


@pytest.mark.parametrize(
    ("events", "outcome", "said"),
    [
        (HEARD, "completed", ("COMPLETED", "rang 1.0 s", "2 of 2 plays heard whole", "normal call clearing")),
        (BUSY, "busy", ("BUSY", "Q.850 17 (user busy)", "SIP 486")),
        ([], "expired", ("EXPIRED",)),
        (HEARD[:6], "failed", ("FAILED", "cut short")),
    ],
)
def test_the_verdict_stays_on_the_screen(
    events: list[tuple[float, CallEvent]], outcome: str, said: tuple[str, ...]
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None, highlight=False)
    screen = Screen(console, (5000, 5000))
    end = told(events or [], outcome, "the reason") if events else _expired()
    screen.update(T0 + 1, end, "")
    screen.end(end, summary(end, delivered=5))
    file = console.file
    assert isinstance(file, io.StringIO)
    for part in (*said, "5 delivered"):
        assert part in file.getvalue()


def _expired() -> Story:
    begun = told([])
    job = begun.job
    return Story(
        JobRow(
            **{name: getattr(job, name) for name in job.__struct_fields__}
            | {"state": JobState.ENDED, "outcome": "expired", "reason": "late", "ended_at": T0 + 120}
        ),
        begun.steps,
        None,
        None,
    )


def test_plain_lines_come_once_each_with_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    for count in range(len(HEARD) + 1):
        lines.update(T0 + 1, told(HEARD[:count]), "")
        lines.update(T0 + 1, told(HEARD[:count]), "")
    end = told(HEARD, "completed", "every play was heard")
    lines.end(end, summary(end, delivered=4, pending=1, problem="cannot connect"))
    shown = capsys.readouterr()
    assert [line.split(" ", 1)[1] for line in shown.out.splitlines() if line.startswith("+")] == [
        "accepted",
        "dialing by ast1",
        "ringing",
        "answered",
        "play 1 of 2 began",
        "play 1 of 2 was heard whole",
        "play 2 of 2 began",
        "play 2 of 2 was heard whole",
        "we hung up: completed, every play was heard",
        "completed: every play was heard",
    ]
    assert "+1.300s answered" in shown.out
    assert "1 notifications not delivered yet (cannot connect)" in shown.err


def test_json_lines_end_with_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines()
    end = told(BUSY, "busy", "busy here (SIP 486)")
    lines.update(T0 + 1, end, "")
    lines.end(end, summary(end, delivered=3))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["accepted", "dialing", "hangup", "verdict"]
    verdict = events[-1]
    assert (verdict["outcome"], verdict["cause"], verdict["sip_status"]) == ("busy", 17, 486)
    assert (verdict["attempts"], verdict["notifications"]) == (1, {"delivered": 3})
    assert events[1]["seconds"] == 0.2


def test_what_the_two_of_a_callback_do_is_said_of_the_one_whom_it_is_about() -> None:
    callback, seen = callbacks.Story(callbacks.PLANNED), []

    def look() -> None:
        seen.append(told([(at - T0, event) for event, at in callback.journal], call=callbacks.CALL).doing)

    look()
    for step in (
        callback.answered,
        lambda: callback.callee(ev.Accepted(), ev.Ringing()),
        lambda: callback.callee(ev.Answered(), ev.Ready()),
        lambda: callback.feed(ev.Bridged()),
        callback.hear,
        lambda: callback.feed(ev.Ended(16)),
        lambda: callback.callee(ev.Ended(16)).feed(ev.RecordingFinished(callbacks.CALL)),
    ):
        step()
        look()
    assert seen == [
        "planned",
        "planned",
        "ringing",
        "joining",
        "announcing",
        "talking",
        "hanging_up",
        "waiting",
    ]


def test_a_second_attempt_says_so() -> None:
    job = told(BUSY).job
    first = tuple(Entry(n, T0 + at, event) for n, (at, event) in enumerate(BUSY, start=1))
    second = tuple(Entry(n, T0 + 30 + at, event) for n, (at, event) in enumerate(HEARD[:3], start=1))
    shown = story(Followed(job=job, calls=(("a", 1, first), ("b", 2, second))))
    assert [step.event for step in shown.steps] == ["accepted", "dialing", "hangup", "dialing", "ringing"]
    assert shown.steps[3].text == "dialing by ast1, attempt 2"
    assert shown.over is None
    assert shown.doing == "ringing"
