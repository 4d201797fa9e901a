"""A job's story as steps in time, folded anew from its calls' journals. Pure; it holds no secret.

`call` shows it while it grows, `show` afterwards: both see the same, for both replay what the machine did.
"""

from typing import Any

import msgspec

from orchestrator.call import facts as f
from orchestrator.call.conversation import ANNOUNCEMENT, TEXT, Conversation, Phase
from orchestrator.call.either import AnyCall, replay
from orchestrator.call.outcome import Q850
from orchestrator.call.playing import prompts
from orchestrator.call.state import Call, State
from orchestrator.ledger.records import Followed, JobRow, JobState


class Step(msgspec.Struct, frozen=True):
    """One thing that happened."""

    at: float
    event: str
    text: str
    attempt: int = 0
    fields: dict[str, Any] = {}
    """What a program wants to know of it."""


class Story(msgspec.Struct, frozen=True):
    """A job so far."""

    job: JobRow
    steps: tuple[Step, ...]
    call: AnyCall | None
    """The latest call, None before the first."""
    over: f.Over | None
    """How the latest call ended, None while it lives."""

    @property
    def ended(self) -> bool:
        """Whether the job has its verdict."""
        return self.job.state is JobState.ENDED

    @property
    def doing(self) -> str:
        """What happens now: `waiting`, the state of the call or what the two of a callback do, or `ended`."""
        if self.ended:
            return "ended"
        if self.call is None or self.call.state in (State.NEW, State.ENDED):
            return "waiting"
        return self.call.state.value if isinstance(self.call, Call) else _together(self.call)


def _together(conversation: Conversation) -> str:
    match conversation.phase:
        case Phase.CALLER:
            return conversation.caller.state.value
        case Phase.CALLEE:
            return conversation.callee.state.value
        case Phase.CLOSING:
            return State.HANGING_UP.value
        case phase:
            return phase.value


class _Told(msgspec.Struct, frozen=True):
    to: str
    from_: str | None = msgspec.field(name="from", default=None)
    language: str | None = None
    template: str | None = None
    kind: str = "code"
    plays: int = 1
    user_data: str = ""
    notify_url: str | None = None
    caller: str | None = None
    record: bool = False


told_of = msgspec.json.Decoder(_Told).decode
"""The public part of a stored job, as far as people are shown it."""


def story(followed: Followed) -> Story:
    """Fold the journals into steps."""
    job = followed.job
    steps = [Step(job.created_at, "accepted", "accepted")]
    call: AnyCall | None = None
    over: f.Over | None = None
    for call_id, attempt, journal in followed.calls:
        call, facts = replay(call_id, [(entry.event, entry.at) for entry in journal])
        over = None
        for fact in facts:
            step = _step(fact, call, attempt)
            if step is not None:
                steps.append(step)
            if isinstance(fact, f.Over):
                over = fact
    return Story(job, tuple(steps), call, over)


def _step(fact: f.Fact, call: AnyCall, attempt: int) -> Step | None:
    fields: dict[str, Any]
    two = isinstance(call, Conversation)
    first, who = ("caller" if two else "callee"), (f" the {leg}" if two and (leg := _leg(fact)) else "")
    match fact:
        case f.Dialing(at):
            again = f", attempt {attempt}" if attempt > 1 and fact.leg == first else ""
            text = f"dialing{who} by {call.pbx}{again}"
            return Step(at, "dialing", text, attempt, {"pbx": call.pbx, "leg": fact.leg})
        case f.Rings(at, early_media):
            text = f"ringing{who}" + (" (with early media)" if early_media else "")
            return Step(at, "ringing", text, attempt, {"early_media": early_media, "leg": fact.leg})
        case f.Answer(at, ring_seconds):
            fields = {"ring_seconds": round(ring_seconds, 3), "leg": fact.leg}
            return Step(at, "answered", f"{who.strip().capitalize()} answered".strip(), attempt, fields)
        case f.Connected(at):
            return Step(at, "connected", "the two are connected", attempt)
        case f.NotRecorded(at, reason):
            return Step(at, "not_recorded", f"not recorded: {reason}", attempt, {"reason": reason})
        case f.PlayBegan(at, play):
            name = prompt_name(call, play)
            fields = {"play": play, "plays": _prompts(call), "prompt": name}
            return Step(at, "play_began", f"{name} began", attempt, fields)
        case f.PlayDone(at, play):
            name = prompt_name(call, play)
            fields = {"play": play, "plays": _prompts(call), "prompt": name}
            return Step(at, "play_done", f"{name} was heard whole", attempt, fields)
        case f.Collected(at, item, digits, complete):
            fields = {"item": item, "digits": digits, "complete": complete}
            keys = f"keys {digits}" if digits else "no key"
            text = f"{keys} at item {item}" + ("" if complete else ", not all in time")
            return Step(at, "digits", text, attempt, fields)
        case f.Pressed(at):
            return Step(at, "pressed", "the callee pressed a key", attempt)
        case f.Over():
            return Step(fact.at, "hangup", hung_up(fact), attempt, over_fields(fact))
        case _:
            return None


def _prompts(call: AnyCall) -> int:
    return 1 if isinstance(call, Conversation) else prompts(call)


def prompt_name(call: AnyCall, play: int) -> str:
    """What the call's prompt number `play` is, in words."""
    if isinstance(call, Conversation):
        return {TEXT: "the text", ANNOUNCEMENT: "the announcement"}.get(play, "a prompt")
    notice = call.notice
    if notice is None:
        return f"play {play} of {call.plays}"
    item = play - (notice.gate is not None)
    if item == 0:
        return "the gate"
    of_play, place = divmod(item - 1, len(notice.collects))
    name = f"item {place + 1} of {len(notice.collects)}" if len(notice.collects) > 1 else "the notice"
    return name if call.plays == 1 else f"{name}, play {of_play + 1}"


def _leg(fact: f.Fact) -> str:
    return fact.leg if isinstance(fact, f.Dialing | f.Rings | f.Answer) else ""


def over_fields(over: f.Over) -> dict[str, Any]:
    """A call's end, as `call.hangup` names it."""
    return {
        "outcome": over.outcome.value,
        "reason": over.reason,
        "cause": over.cause,
        "sip_status": over.sip_status,
        "ring_seconds": round(over.ring_seconds, 3),
        "talk_seconds": round(over.talk_seconds, 3),
        "plays_completed": over.plays_completed,
        "hung_up_by": over.hung_up_by,
        "leg": over.leg,
    }


def hung_up(over: f.Over) -> str:
    """A call's end in words."""
    if over.talk_seconds > 0:
        who = {
            "callee": "the callee hung up",
            "caller": "the caller hung up",
            "orchestrator": "we hung up",
            "network": "the network hung up",
        }
        return who.get(over.hung_up_by or "", "hung up")
    return "not answered" if over.outcome.value != "cancelled" else "given up"


def details(story: Story) -> list[str]:
    """The figures of the latest call's end, each a few words."""
    over, call = story.over, story.call
    if over is None or call is None:
        return []
    found = []
    if over.ring_seconds:
        found.append(f"rang {over.ring_seconds:.1f} s")
    if call.answered_at is not None:
        found.append(f"talked {over.talk_seconds:.1f} s")
        if not isinstance(call, Conversation):
            found.append(f"{over.plays_completed} of {call.plays} plays heard whole")
        elif over.recording is not None:
            found.append("recorded")
    if over.hung_up_by is not None:
        by = "us" if over.hung_up_by == "orchestrator" else f"the {over.hung_up_by}"
        found.append(f"ended by {by}")
    if story.job.attempts > 1:
        found.append(f"{story.job.attempts} attempts")
    return found


def signals(story: Story) -> str:
    """What the network said of the latest call's end: its cause and SIP status."""
    if story.over is None:
        return ""
    cause = story.over.cause
    said = [f"Q.850 {cause} ({_cause_name(cause)})"] if cause is not None else []
    if story.over.sip_status is not None:
        said.append(f"SIP {story.over.sip_status}")
    return ", ".join(said)


def _cause_name(cause: int) -> str:
    if cause == 16:  # says nothing of an outcome, so it is not in the table of those that do
        return "normal call clearing"
    return Q850[cause][1] if cause in Q850 else "unspecified"


def notified(states: dict[str, int]) -> str:
    """What became of the notifications, in words; empty when there are none."""
    words = {
        "delivered": "delivered",
        "pending": "not delivered yet",
        "dead": "given up",
        "stopped": "stopped by the receiver",
    }
    return ", ".join(f"{states[state]} {word}" for state, word in words.items() if states.get(state))
