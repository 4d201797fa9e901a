"""What the two legs of a callback do together: connected, told of the recording, recorded, warned of the end.

Nothing that goes wrong with a recording ends a conversation: the people talk on, and the CDR names none. One
that was not announced to both is not made.
"""

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.commands import (
    Bridge,
    Command,
    Play,
    PlayBoth,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.call.conversation import (
    ANNOUNCEMENT,
    BRIDGE_TIMEOUT,
    RECORD_START_TIMEOUT,
    WARNING,
    Conversation,
    Phase,
    Recording,
    Turn,
)
from orchestrator.call.facts import Connected, NotRecorded
from orchestrator.call.parting import close, fail, recording_pending
from orchestrator.call.state import PLAY_MARGIN, PLAY_START_TIMEOUT, State

# ── connected ──


def join(conversation: Conversation, now: float) -> Turn:
    """Both have answered: no more ringback, and connect them."""
    quiet = StopPlay(conversation.id, conversation.playback)
    conversation = replace(conversation, phase=Phase.JOINING, clocks={"bridge": now + BRIDGE_TIMEOUT})
    return Turn(conversation, (quiet, _bridge(conversation)))


def _bridge(conversation: Conversation) -> Bridge:
    return Bridge(conversation.id, conversation.callee.id)


def bridged(conversation: Conversation, _event: object, now: float) -> Turn:
    """They hear each other: from here the duration counts."""
    second = conversation.second
    assert second is not None  # noqa: S101 - without it, nobody was to be connected
    clocks = {"duration": now + conversation.max_duration}
    if 0 < second.warn_before < conversation.max_duration and conversation.seconds(WARNING):
        clocks["warning"] = clocks["duration"] - second.warn_before
    conversation = replace(conversation, phase=Phase.TALKING, connected_at=now, clocks=clocks)
    turn = Turn(conversation, (), (Connected(now),))
    if not second.record:
        return turn
    if not conversation.seconds(ANNOUNCEMENT):
        return turn.then(_unrecorded(conversation, now, "there is no announcement of it"))
    conversation = replace(conversation, phase=Phase.ANNOUNCING, play=ANNOUNCEMENT, replays=0)
    return turn.then(_play(conversation, now))


def bridge_refused(conversation: Conversation, event: ev.BridgeRefused, now: float) -> Turn:
    """The PBX did not connect them."""
    # 404: a channel went while we asked, and its end is on the way. 0: the request was lost, mostly with its
    # connection; the next one finds both alive and asks again. Should neither come, the timer decides.
    if event.status in (0, 404):
        return Turn(conversation)
    return fail(conversation, now, "not_connected")


# ── our own plays: the announcement, and why there is nobody to talk to ──


def _play(conversation: Conversation, now: float) -> Turn:
    clocks = {**conversation.clocks, "play": now + PLAY_START_TIMEOUT}
    conversation = replace(conversation, clocks=clocks)
    kind = PlayBoth if conversation.phase is Phase.ANNOUNCING else Play
    return Turn(conversation, (kind(conversation.id, conversation.playback, conversation.play),))


def play_started(conversation: Conversation, _event: object, now: float) -> Turn:
    """It has begun, and may last as long as its sounds do."""
    until = now + conversation.seconds(conversation.play) + PLAY_MARGIN
    return Turn(replace(conversation, clocks={**conversation.clocks, "play": until}))


def play_finished(conversation: Conversation, event: ev.PlayFinished, now: float) -> Turn:
    """Announced: record. Told: hang up."""
    if conversation.phase is not Phase.ANNOUNCING:
        return close(conversation, now)
    if not event.ok:
        return _unrecorded(conversation, now, "its announcement could not be played")
    conversation = replace(
        conversation,
        phase=Phase.TALKING,
        recording=Recording.ASKED,
        clocks={**_without(conversation, "play"), "record": now + RECORD_START_TIMEOUT},
    )
    return Turn(conversation, (_record(conversation),))


def play_refused(conversation: Conversation, event: ev.PlayRefused, now: float) -> Turn:
    """The PBX will not play. A lost request (0) is made again over the next connection."""
    if event.status in (0, 404):
        return Turn(conversation)
    return _unplayed(conversation, now)


def _unplayed(conversation: Conversation, now: float) -> Turn:
    if conversation.phase is Phase.ANNOUNCING:
        return _unrecorded(conversation, now, "its announcement could not be played")
    return close(conversation, now)


def _warn(conversation: Conversation, second: ev.Second) -> Turn:
    playback = f"{conversation.id}-{WARNING}"
    warning: Command
    match second.warn_to:
        case "both":
            warning = PlayBoth(conversation.id, playback, WARNING)
        case "caller":
            warning = Play(conversation.id, playback, WARNING)
        case "callee":
            warning = Play(conversation.callee.id, playback, WARNING)
    return Turn(replace(conversation, clocks=_without(conversation, "warning")), (warning,))


# ── the recording ──


def _record(conversation: Conversation) -> Record:
    return Record(conversation.id, conversation.id, conversation.longest)


def _unrecorded(conversation: Conversation, now: float, reason: str) -> Turn:
    conversation = replace(conversation, phase=Phase.TALKING, clocks=_without(conversation, "play"))
    return Turn(conversation, (), (NotRecorded(now, reason),))


def recording_started(conversation: Conversation, event: ev.RecordingStarted, _now: float) -> Turn:
    """It runs."""
    if event.recording != conversation.id or conversation.recording not in (
        Recording.ASKED,
        Recording.FAILED,
    ):
        return Turn(conversation)
    clocks = _without(conversation, "record")
    return Turn(replace(conversation, recording=Recording.RUNNING, clocks=clocks))


def recording_finished(conversation: Conversation, event: ev.RecordingFinished, now: float) -> Turn:
    """It is over. A recording that exists is named, however late the PBX tells of it."""
    known = conversation.recording
    if event.recording != conversation.id or known in (Recording.NONE, Recording.KEPT):
        return Turn(conversation)
    if event.ok:
        clocks = _without(conversation, "record", "recording")
        return Turn(replace(conversation, recording=Recording.KEPT, clocks=clocks))
    if known is Recording.FAILED:
        return Turn(conversation)
    return _recording_failed(conversation, now, event.reason or "the PBX failed to record")


def _recording_failed(conversation: Conversation, now: float, reason: str) -> Turn:
    clocks = _without(conversation, "record", "recording")
    failed = replace(conversation, recording=Recording.FAILED, clocks=clocks)
    return Turn(failed, (), (NotRecorded(now, reason),))


def _recording_untold(conversation: Conversation, now: float) -> Turn:
    """All is over, and the PBX did not say what became of the recording. One that ran lies there."""
    if conversation.recording is Recording.RUNNING:
        clocks = _without(conversation, "recording")
        return Turn(replace(conversation, recording=Recording.KEPT, clocks=clocks))
    return _recording_failed(conversation, now, "it was over before the recording began")


# ── timers and recovery ──


def timer(conversation: Conversation, name: str, now: float) -> Turn:
    """One of the conversation's own timers has run out."""
    due, second = conversation.clocks.get(name), conversation.second
    if due is None or now < due or second is None:  # set anew, or cleared, while it was on its way
        return Turn(conversation)
    match name:
        case "bridge":
            return fail(conversation, now, "not_connected")
        case "duration":
            return close(conversation, now, "max_duration")
        case "warning":
            return _warn(conversation, second)
        case "record":
            stop = Turn(conversation, (StopRecording(conversation.id, conversation.id),))
            return stop.then(_recording_failed(conversation, now, "the PBX did not begin to record in time"))
        case "recording":
            return _recording_untold(conversation, now)
        case _:
            stopped = Turn(conversation, (StopPlay(conversation.id, conversation.playback),))
            return stopped.then(_unplayed(conversation, now))


def again(conversation: Conversation, now: float) -> Turn:
    """Nobody looked, and the caller is still there: ask anew for what may have been lost meanwhile.

    All of it may be asked for twice. Should the callee have gone, its own leg tells.
    """
    if conversation.caller.state is not State.HELD:
        return Turn(conversation)
    old = StopPlay(conversation.id, conversation.playback)
    anew = replace(conversation, replays=conversation.replays + 1)
    match conversation.phase:
        case Phase.CALLEE:
            return Turn(anew, (old, Ringback(anew.id, anew.playback)))
        case Phase.JOINING:
            clocks = {"bridge": now + BRIDGE_TIMEOUT}
            return Turn(replace(conversation, clocks=clocks), (_bridge(conversation),))
        case Phase.ANNOUNCING:
            return Turn(anew, (_bridge(anew), old)).then(_play(anew, now))
        case Phase.TELLING:
            return Turn(anew, (old,)).then(_play(anew, now))
        case Phase.TALKING if not recording_pending(conversation):
            return Turn(conversation, (_bridge(conversation),))
        case Phase.TALKING:
            clocks = dict(conversation.clocks)
            if "record" in clocks:
                clocks["record"] = now + RECORD_START_TIMEOUT
            anew = replace(conversation, clocks=clocks)
            return Turn(anew, (_bridge(anew), _record(anew)))
        case _:
            return Turn(conversation)


def _without(conversation: Conversation, *names: str) -> dict[str, float]:
    return {name: at for name, at in conversation.clocks.items() if name not in names}
