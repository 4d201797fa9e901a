"""`api` and `bgapi`: what each command does, and the text that it answers."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.pbx.virtual.causes import NORMAL, cause_named
from orchestrator.pbx.virtual.esl import bridging
from orchestrator.pbx.virtual.esl.applications import MAX_VARIABLES, seconds_in, send_keys, set_variable
from orchestrator.pbx.virtual.esl.dialstring import USAGE, Unreadable, read_originate
from orchestrator.pbx.virtual.esl.listing import show, status, version
from orchestrator.pbx.virtual.esl.wire import plain

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel
    from orchestrator.pbx.virtual.esl.face import EslFace

Api = Callable[["EslFace", str], str]
Done = Callable[[str], None]

OK: Final = "+OK\n"
_THREADS_MEET: Final = 0.02
NO_CHANNEL: Final = "-ERR No such channel!\n"


def run(face: "EslFace", line: str, done: Done) -> None:
    """Carry out one command line; `done` is told what it answers, an originate's when that has an end.
    Never raises for anything that a client may send."""
    name, _, argument = line.strip().partition(" ")
    if name == "originate":
        _originate(face, argument.strip(), done)
        return
    api = _APIS.get(name)
    done(f"-ERR {name} Command not found!\n" if api is None else api(face, argument.strip()))


def _originate(face: "EslFace", argument: str, done: Done) -> None:
    try:
        wanted = read_originate(argument)
    except Unreadable as unreadable:
        done(str(unreadable))
        return

    def begin(channel: "EslChannel") -> None:
        if not wanted.application:
            face.soon(channel, lambda: channel.hang_up(3))  # the dialplan has no such extension
        elif not face.execute(channel, wanted.application, wanted.argument, "", False):
            face.soon(channel, lambda: channel.hang_up(NORMAL))

    face.originate(wanted, begin, done)


def _on_channel(act: Callable[["EslChannel", str], str], missing: str = NO_CHANNEL, usage: str = "") -> Api:
    """A command whose first word is a channel."""

    def run_on(face: "EslFace", argument: str) -> str:
        uuid, _, rest = argument.partition(" ")
        if not uuid:
            return usage or "-USAGE: <uuid>\n"
        channel = face.channels.get(uuid)
        return missing if channel is None else act(channel, rest.strip())

    return run_on


def _kill(channel: "EslChannel", argument: str) -> str:
    cause = cause_named(argument or "NORMAL_CLEARING")
    channel.hang_up(cause.code if cause else NORMAL)
    return OK


def _break(channel: "EslChannel", argument: str) -> str:
    both = "both" in argument and channel.other is not None
    for each in (channel, channel.other) if both else (channel,):
        if each is not None:
            _break_one(each, everything="all" in argument)
    return OK


def _break_one(channel: "EslChannel", everything: bool) -> None:
    if everything:
        channel.queue = None

    def cut() -> None:
        if channel.stack:
            channel.stack[-1].cut()

    channel.face.soon(channel, cut)


def _broadcast(channel: "EslChannel", argument: str) -> str:
    path = argument
    for which in (" aleg", " bleg", " both"):
        path = path.removesuffix(which)
    application, separator, rest = path.partition("::")
    if not separator:
        application, rest = "playback", path
    face = channel.face
    targets = [channel]
    if argument.endswith((" both", " bleg")) and channel.other is not None:
        targets = [channel.other] if argument.endswith(" bleg") else [channel, channel.other]
    for target in targets:
        face.execute(target, application.removesuffix("!"), rest.replace("::", " "), "", False)
    return "+OK Message sent\n"


def _bridge(face: "EslFace", argument: str) -> str:
    words = argument.split()
    if len(words) != 2:
        return "-USAGE: <uuid> <other_uuid>\n"
    first, second = (face.channels.get(word) for word in words)
    if first is None or second is None or first is second:
        return "-ERR Invalid uuid\n"
    if first.hung_up or not (first.has_media or second.has_media):
        return "-ERR Invalid uuid\n"
    # The channels' own threads do it.
    timeline = face.switch.timeline
    timeline.at(timeline.now() + _THREADS_MEET, lambda: bridging.connect(first, second))
    return f"+OK {second.leg.id}\n"


def _record(channel: "EslChannel", argument: str) -> str:
    what, _, rest = argument.partition(" ")
    path, _, longest = rest.partition(" ")
    if what == "start" and path:
        if not channel.has_media or channel.hung_up:
            return "-ERR Cannot record session!\n"
        channel.face.record(channel, path, seconds_in(longest))
        return "+OK Success\n"
    if what == "stop" and path:
        stopped = channel.face.stop_recording(channel, path)
        return "+OK Success\n" if stopped else "-ERR Cannot stop record session!\n"
    return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"


def _get_variable(channel: "EslChannel", argument: str) -> str:
    return channel.variables.get(argument) or channel.dump().get(f"variable_{argument}", "_undef_")


def _set_variable(channel: "EslChannel", argument: str) -> str:
    name, _, value = argument.partition(" ")
    if not name:
        return "-USAGE: <uuid> <var> [value]\n"
    set_variable(channel, name, value.strip())
    return OK


def _set_variables(channel: "EslChannel", argument: str) -> str:
    for part in argument.split(";"):
        name, _, value = part.partition("=")
        set_variable(channel, name.strip(), value.strip())
    return OK


def _dump(channel: "EslChannel", argument: str) -> str:
    fields = {"Event-Name": "CHANNEL_DATA", "Core-UUID": channel.face.core_uuid, **channel.dump()}
    return json.dumps(fields) if argument == "json" else plain(fields)


def _park(channel: "EslChannel", argument: str) -> str:
    channel.face.soon(channel, lambda: bridging.park_anew(channel))
    return OK


def _send_keys(channel: "EslChannel", argument: str) -> str:
    send_keys(channel, argument)
    return OK


def _receive_keys(channel: "EslChannel", argument: str) -> str:
    keys = argument.partition("@")[0]
    channel.face.soon(channel, lambda: channel.face.switch.press(channel.leg, keys))
    return OK


def _answer(channel: "EslChannel", argument: str) -> str:
    channel.face.soon(channel, lambda: channel.face.switch.answer(channel.leg))
    return OK


def _accept(channel: "EslChannel", argument: str) -> str:
    """Taken, and nothing that can be seen changes."""
    return "+OK Success\n"


def _schedule(face: "EslFace", argument: str) -> str:
    words = argument.split()
    if len(words) < 2:
        return "-USAGE: [+]<time> <uuid>[ <cause>]\n"
    channel = face.channels.get(words[1])
    if channel is None:
        return NO_CHANNEL
    cause = words[2] if len(words) > 2 else ""
    return OK if face.schedule_hangup(channel, words[0], cause) is not None else "-ERR Invalid time\n"


def _unschedule(face: "EslFace", argument: str) -> str:
    return f"+OK Deleted: {face.unschedule(argument)}\n"


def _global(face: "EslFace", argument: str) -> str:
    if not argument:
        return "".join(f"{name}={value}\n" for name, value in face.globals.items())
    return face.globals.get(argument, "")


def _set_global(face: "EslFace", argument: str) -> str:
    name, _, value = argument.partition("=")
    name = name.strip()[:128]
    if name not in face.globals and len(face.globals) >= MAX_VARIABLES:
        return "-ERR too many global variables\n"
    face.globals[name] = value.strip()
    return OK


def _control(face: "EslFace", argument: str) -> str:
    """`fsctl pause` and `resume`; its other words change nothing here."""
    word = argument.partition(" ")[0]
    if word in ("pause", "resume"):
        face.paused = word == "pause"
    return OK


_APIS: Final[dict[str, Api]] = {
    "uuid_kill": _on_channel(_kill, usage="-USAGE: <uuid> [cause]\n"),
    "uuid_break": _on_channel(_break, usage="-USAGE: <uuid> [all]\n"),
    "uuid_broadcast": _on_channel(_broadcast, usage="-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"),
    "uuid_bridge": _bridge,
    "uuid_exists": lambda face, argument: "true" if argument in face.channels else "false",
    "uuid_record": _on_channel(_record, "-ERR Cannot locate session!\n"),
    "uuid_getvar": _on_channel(_get_variable),
    "uuid_setvar": _on_channel(_set_variable),
    "uuid_setvar_multi": _on_channel(_set_variables),
    "uuid_dump": _on_channel(_dump, usage="-USAGE: <uuid> [format]\n"),
    "uuid_park": _on_channel(_park),
    "uuid_send_dtmf": _on_channel(_send_keys),
    "uuid_recv_dtmf": _on_channel(_receive_keys),
    "uuid_answer": _on_channel(_answer),
    **dict.fromkeys(("uuid_hold", "uuid_audio", "uuid_flush_dtmf", "uuid_display"), _on_channel(_accept)),
    "sched_hangup": _schedule,
    "sched_del": _unschedule,
    "global_getvar": _global,
    "global_setvar": _set_global,
    "show": show,
    "status": status,
    "version": version,
    "hostname": lambda face, argument: face.globals["hostname"],
    "module_exists": lambda face, argument: "true" if argument.startswith("mod_") else "false",
    "file_exists": lambda face, argument: "true" if face.find_file(argument) is not None else "false",
    "create_uuid": lambda face, argument: face.new_uuid(),
    "echo": lambda face, argument: argument,
    "eval": lambda face, argument: argument,
    "fsctl": _control,
    "usage": lambda face, argument: USAGE if argument == "originate" else f"-ERR no usage of {argument}\n",
}
