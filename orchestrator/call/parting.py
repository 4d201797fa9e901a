"""How a callback ends: the caller is told why, both are hung up, and two legs' ends become one `Over`."""

from msgspec.structs import replace

from orchestrator.call.commands import Command, DropBridge, Play, StopPlay, StopRecording
from orchestrator.call.conversation import (
    BUSY,
    FAILED,
    NO_ANSWER,
    RECORDING_GRACE,
    Conversation,
    Ending,
    Phase,
    Recording,
    Turn,
)
from orchestrator.call.facts import HungUpBy, Leg, Over
from orchestrator.call.outcome import Outcome
from orchestrator.call.playing import hang_up
from orchestrator.call.state import PLAY_START_TIMEOUT, Call, State, Why, between

_DONE = (State.NEW, State.ENDED)
_LEAVING = (State.HANGING_UP, *_DONE)


def leaving(call: Call) -> bool:
    """Whether a leg that had been there is no longer to be talked to."""
    return call.state in _LEAVING


def fail(conversation: Conversation, now: float, ending: Ending) -> Turn:
    """The two were not connected: tell the caller why, with the prompt for it, then hang up."""
    over = conversation.callee_over
    match over.outcome if over is not None else None:
        case Outcome.BUSY | Outcome.REJECTED:
            play = BUSY
        case Outcome.NO_ANSWER:
            play = NO_ANSWER
        case _:
            play = FAILED
    quiet: tuple[Command, ...] = ()
    if conversation.phase is Phase.CALLEE:
        quiet = (StopPlay(conversation.id, conversation.playback),)  # the ringback
    if leaving(conversation.caller) or not conversation.seconds(play):
        return Turn(conversation, quiet).then(close(conversation, now, ending))
    callee, hangup = _hang_up(conversation.callee, "other_leg", now)
    conversation = replace(
        conversation,
        callee=callee,
        phase=Phase.TELLING,
        ending=ending,
        play=play,
        replays=0,
        clocks={"play": now + PLAY_START_TIMEOUT},
    )
    return Turn(conversation, (*quiet, *hangup, Play(conversation.id, conversation.playback, play)))


def close(conversation: Conversation, now: float, ending: Ending | None = None) -> Turn:
    """Hang up whoever is there, and end the recording. Without `ending`, what was decided before stands."""
    pending = recording_pending(conversation)
    stop = (StopRecording(conversation.id, conversation.id),) if pending else ()
    why: Why = "cancel" if ending == "cancel" else "other_leg"
    caller, hangup_caller = _hang_up(conversation.caller, why, now)
    callee, hangup_callee = _hang_up(conversation.callee, why, now)
    conversation = replace(
        conversation,
        caller=caller,
        callee=callee,
        phase=Phase.CLOSING,
        ending=ending or conversation.ending,
        parted_at=now,
        clocks={"recording": now + RECORDING_GRACE} if pending else {},
    )
    return Turn(conversation, (*stop, *hangup_caller, *hangup_callee))


def recording_pending(conversation: Conversation) -> bool:
    """Whether the PBX may still tell what became of the recording."""
    return conversation.recording in (Recording.ASKED, Recording.RUNNING)


def _hang_up(call: Call, why: Why, now: float) -> tuple[Call, tuple[Command, ...]]:
    if leaving(call):
        return call, ()
    step = hang_up(call, why, now)
    return step.call, step.commands


def finish(conversation: Conversation, now: float) -> Turn | None:
    """The end of all, once both legs have ended and the recording is settled."""
    legs_done = conversation.caller.state in _DONE and conversation.callee.state in _DONE
    if not legs_done or recording_pending(conversation):
        return None
    over = _over(conversation, now)
    conversation = replace(conversation, phase=Phase.OVER, ended_at=now, clocks={})
    if conversation.callee.answered_at is None:  # they were never to be connected
        return Turn(conversation, (), (over,))
    return Turn(conversation, (DropBridge(conversation.id),), (over,))


def _over(conversation: Conversation, now: float) -> Over:
    leg = _decisive(conversation)
    call, own = conversation.callee, conversation.callee_over
    if leg == "caller":
        call, own = conversation.caller, conversation.caller_over
    outcome, reason, by = _verdict(conversation, call, own)
    overs = [over for over in (conversation.caller_over, conversation.callee_over) if over is not None]
    ringing = between(conversation.ringing_at, conversation.answered_at or now)
    return Over(
        at=now,
        outcome=outcome,
        reason=reason,
        cause=own.cause if own is not None else None,
        sip_status=own.sip_status if own is not None else None,
        ring_seconds=ringing,
        talk_seconds=between(conversation.connected_at, conversation.parted_at or now),
        plays_completed=conversation.caller.plays_completed,
        hung_up_by=by,
        certain=all(over.certain for over in overs),
        leg=leg,
        recording=conversation.id if conversation.recording is Recording.KEPT else None,
    )


def _decisive(conversation: Conversation) -> Leg:
    """The leg that decided; where none did, the one that had come last."""
    match conversation.ending:
        case "caller" | "callee" as leg:
            return leg
        case _:
            return "caller" if conversation.callee.state is State.NEW else "callee"


def _verdict(
    conversation: Conversation, call: Call, own: Over | None
) -> tuple[Outcome, str, HungUpBy | None]:
    match conversation.ending:
        case "cancel":
            return Outcome.CANCELLED, "cancelled on request", "orchestrator"
        case "max_duration":
            return Outcome.COMPLETED, "the longest duration was reached", "orchestrator"
        case "caller" | "callee" if own is not None:
            if conversation.connected_at is not None:
                return Outcome.COMPLETED, own.reason, own.hung_up_by
            if call.answered_at is not None:
                return own.outcome, f"{own.reason} before the two were connected", own.hung_up_by
            return own.outcome, f"{call.leg}: {own.reason}", own.hung_up_by
        case _:
            return Outcome.FAILED, "the PBX could not connect the two", "orchestrator"
