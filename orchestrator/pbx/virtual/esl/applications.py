"""The applications of the dialplan that a client may execute, by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.pbx.virtual.causes import NORMAL, cause_named
from orchestrator.pbx.virtual.esl.bridging import Bridging
from orchestrator.pbx.virtual.esl.dialstring import read_variables
from orchestrator.pbx.virtual.esl.execution import Execution, Lasting, Sleeping
from orchestrator.pbx.virtual.esl.playing import GetDigits, Playback
from orchestrator.pbx.virtual.esl.wire import fit_name

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel

MAX_VARIABLES: Final = 1000
"""Of one channel; more are not kept."""

Work = Callable[["EslChannel", str], None]

_LASTING: Final[dict[str, type[Execution]]] = {
    "bridge": Bridging,
    "park": Lasting,
    "echo": Lasting,
    "playback": Playback,
    "endless_playback": Playback,
    "sleep": Sleeping,
    "play_and_get_digits": GetDigits,
}


def execution_of(
    channel: "EslChannel", application: str, argument: str, uuid: str, locked: bool
) -> Execution | None:
    """The application of this name, ready to run; None when there is none."""
    lasting = _LASTING.get(application)
    if lasting is not None:
        return lasting(channel, application, argument, uuid, locked=locked)
    work = _AT_ONCE.get(application)
    if work is None:
        return None
    return Execution(channel, application, argument, uuid, locked=locked, work=work)


def _answer(channel: "EslChannel", argument: str) -> None:
    channel.face.soon(channel, lambda: channel.face.switch.answer(channel.leg))


def _hang_up(channel: "EslChannel", argument: str) -> None:
    cause = cause_named(argument.strip() or "NORMAL_CLEARING")
    channel.face.soon(channel, lambda: channel.hang_up(cause.code if cause else NORMAL))


def _set(channel: "EslChannel", argument: str) -> None:
    name, _, value = argument.partition("=")
    set_variable(channel, name.strip(), value.strip())


def _multiset(channel: "EslChannel", argument: str) -> None:
    text = argument.replace(" ", ",") if not argument.startswith("^^") else argument
    for name, value in read_variables(text).items():
        set_variable(channel, name, value)


def _unset(channel: "EslChannel", argument: str) -> None:
    set_variable(channel, argument.strip(), "")


def _send_keys(channel: "EslChannel", argument: str) -> None:
    send_keys(channel, argument)


def _record(channel: "EslChannel", argument: str) -> None:
    path, _, longest = argument.strip().partition(" ")
    if path:
        channel.face.record(channel, path, seconds_in(longest))


def _stop_recording(channel: "EslChannel", argument: str) -> None:
    channel.face.stop_recording(channel, argument.strip() or "all")


def _schedule(channel: "EslChannel", argument: str) -> None:
    after, _, cause = argument.strip().partition(" ")
    channel.face.schedule_hangup(channel, after, cause)


def _nothing(channel: "EslChannel", argument: str) -> None:
    """What changes nothing that can be seen here."""


def seconds_in(text: str) -> int:
    """A number of seconds, `+` before it or not; 0 for anything else."""
    number = text.strip().partition(" ")[0].removeprefix("+")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 0


def set_variable(channel: "EslChannel", name: str, value: str) -> None:
    """Set a variable; an empty value takes it away."""
    name = fit_name(name)
    if value and (name in channel.variables or len(channel.variables) < MAX_VARIABLES):
        channel.variables[name] = value
    else:
        channel.variables.pop(name, None)


def send_keys(channel: "EslChannel", keys: str) -> None:
    """Keys sent to the callee."""
    pressed = "".join(key for key in keys.partition("@")[0].upper() if key in "0123456789ABCD*#")
    channel.leg.heard_keys = (channel.leg.heard_keys + pressed)[-64:]


_AT_ONCE: Final[dict[str, Work]] = {
    "answer": _answer,
    "export": _set,
    "hangup": _hang_up,
    "multiset": _multiset,
    "record_session": _record,
    "sched_hangup": _schedule,
    "send_dtmf": _send_keys,
    "set": _set,
    "stop_record_session": _stop_recording,
    "unset": _unset,
    **dict.fromkeys(
        ("flush_dtmf", "info", "log", "pre_answer", "ring_ready", "start_dtmf", "stop_dtmf", "event"),
        _nothing,
    ),
}
