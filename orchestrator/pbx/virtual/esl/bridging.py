"""Two channels joined: `uuid_bridge`, and the application `bridge`, which dials the second one itself.

As switch_ivr_bridge.c does it: whatever ran on the two is over, the first one's thread bridges
(CS_SOFT_EXECUTE), the other's exchanges sound (CS_EXCHANGE_MEDIA). Whoever is told to execute something
within hears only that, and the other one nothing, until it is done.
"""

from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.causes import NORMAL, cause_named
from orchestrator.pbx.virtual.esl.dialstring import Unreadable, read_originate
from orchestrator.pbx.virtual.esl.execution import Execution
from orchestrator.pbx.virtual.hearing import Room

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel

_OF_A_BRIDGE = ("bridge_to",)
"""Variables that last as long as the bridge; the others that it sets stay."""


def connect(first: "EslChannel", second: "EslChannel") -> None:
    """`uuid_bridge`. One that is not answered yet ends both: a race that FreeSWITCH loses [measured]."""
    for channel in (first, second):
        if channel.other is not None:
            part(channel)
    if first.hung_up or second.hung_up:
        for channel in (first, second):
            _alone(channel)
        return
    if not (first.ready and second.ready):
        for channel, name in ((second, "DESTINATION_OUT_OF_ORDER"), (first, "ORIGINATOR_CANCEL")):
            cause = cause_named(name)
            channel.hang_up(cause.code if cause else NORMAL)
        return
    for channel in (first, second):
        for execution in reversed(list(channel.stack)):
            execution.abort()
    for channel, other in ((first, second), (second, first)):
        fields = {"Application": "uuid_bridge", "Application-Data": other.leg.id}
        channel.tell("CHANNEL_EXECUTE", fields)
    join(first, second)


def _alone(channel: "EslChannel") -> None:
    """The other one has hung up before they were connected."""
    if channel.hung_up:
        return
    if channel.variables.get("uuid_bridge_park_on_cancel") == "true":
        channel.face.park(channel)
        return
    cause = cause_named("DESTINATION_OUT_OF_ORDER")
    channel.hang_up(cause.code if cause else NORMAL)


def join(first: "EslChannel", second: "EslChannel") -> None:
    """Let two answered channels hear each other."""
    first.other, second.other = second, first
    for channel in (first, second):
        for execution in reversed(list(channel.stack)):
            if not isinstance(execution, Bridging):
                execution.abort()
    first.state = "CS_EXECUTE" if first.stack else "CS_SOFT_EXECUTE"
    second.state = "CS_EXCHANGE_MEDIA"
    first.bridged_first, second.bridged_first = True, False
    first.tell(
        "CHANNEL_BRIDGE",
        {"Bridge-A-Unique-ID": first.leg.id, "Bridge-B-Unique-ID": second.leg.id},
    )
    for channel, other in ((first, second), (second, first)):
        variables = channel.variables
        for name in ("bridge_to", "last_bridge_to", "bridge_uuid", "signal_bond"):
            variables[name] = other.leg.id
        variables["bridge_channel"] = other.name
    room = Room()
    for channel in (first, second):
        channel.face.switch.enter(channel.leg, room)


def interrupt(channel: "EslChannel") -> None:
    """Something runs within the bridge: nobody hears the other one for as long."""
    for each in (channel, channel.other):
        if each is not None:
            each.face.switch.leave(each.leg)


def resume(channel: "EslChannel") -> None:
    """It is over; once nothing runs on either, they hear each other again."""
    other = channel.other
    if other is None or channel.hung_up or other.hung_up or runs_within(channel) or runs_within(other):
        return
    room = Room()
    for each in (channel, other):
        each.face.switch.enter(each.leg, room)


def runs_within(channel: "EslChannel") -> bool:
    """Whether something runs on a bridged channel beside the bridge itself."""
    return any(not isinstance(execution, Bridging) for execution in channel.stack)


def part(channel: "EslChannel") -> None:
    """The bridge that it is in is no more. Who lives is parked when it was told to be, else it hangs up."""
    other, channel.other = channel.other, None
    if other is None:
        return
    other.other = None
    both = (channel, other)
    for each in both:
        each.face.switch.leave(each.leg)
        for name in _OF_A_BRIDGE:
            each.variables.pop(name, None)
        for recording in (each.recordings or {}).values():
            recording.parted()
    first, second = both if channel.bridged_first else (other, channel)
    told = {"Bridge-A-Unique-ID": first.leg.id, "Bridge-B-Unique-ID": second.leg.id}
    first.tell("CHANNEL_UNBRIDGE", told)
    for each in both:
        _go_on(each)


def park_anew(channel: "EslChannel") -> None:
    """`uuid_park`: out of its bridge, if it is in one, and out of whatever else it does."""
    if channel.other is not None:
        channel.variables["park_after_bridge"] = "true"
        part(channel)
        return
    for execution in reversed(list(channel.stack)):
        execution.abort()
    channel.face.park(channel)


def _go_on(left: "EslChannel") -> None:
    if left.hung_up:
        return
    stays = left.variables.get("park_after_bridge") == "true"
    bridging = next((each for each in left.stack if isinstance(each, Bridging)), None)
    if bridging is not None:
        left.state = "CS_EXECUTE"
        if stays or left.variables.get("hangup_after_bridge", "true") == "false":
            bridging.complete()
            return
    elif stays:
        left.face.park(left)
        return
    left.face.soon(left, lambda: left.hang_up(NORMAL))


class Bridging(Execution):
    """`bridge`: dials, joins, and lasts as long as the two are together."""

    def start(self) -> None:
        self.began()
        channel = self.channel
        try:
            wanted = read_originate(f"{self.argument} &park()")
        except Unreadable:
            self.complete()
            return
        wanted.variables.setdefault("ignore_early_media", "true")
        wanted.variables.setdefault("origination_caller_id_number", channel.leg.caller)
        channel.face.originate(wanted, self._joined, self._dialled)

    def abort(self) -> None:
        self.complete()

    def _joined(self, callee: "EslChannel") -> None:
        if self.channel.hung_up:
            callee.face.soon(callee, lambda: callee.hang_up(NORMAL))
        else:
            join(self.channel, callee)

    def _dialled(self, text: str) -> None:
        if text.startswith("+OK") or self.channel.hung_up:
            return
        self.channel.variables["originate_disposition"] = text.removeprefix("-ERR ").strip()
        self.complete()
