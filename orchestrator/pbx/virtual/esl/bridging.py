"""Two channels joined: `uuid_bridge`, and the application `bridge`, which dials the second one itself."""

from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.causes import NORMAL
from orchestrator.pbx.virtual.esl.dialstring import Unreadable, read_originate
from orchestrator.pbx.virtual.esl.execution import Execution
from orchestrator.pbx.virtual.hearing import Room

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel


def join(first: "EslChannel", second: "EslChannel") -> None:
    """Let two answered channels hear each other; whatever ran on them is over."""
    first.other, second.other = second, first
    for channel in (first, second):
        for execution in reversed(list(channel.stack)):
            if not isinstance(execution, Bridging):
                execution.abort()
        channel.state = "CS_EXCHANGE_MEDIA"
    room = Room()
    for channel in (first, second):
        channel.face.switch.enter(channel.leg, room)
        channel.variables["bridge_uuid"] = channel.other.leg.id if channel.other else ""
    first.tell(
        "CHANNEL_BRIDGE",
        {"Bridge-A-Unique-ID": first.leg.id, "Bridge-B-Unique-ID": second.leg.id},
    )


def part(gone: "EslChannel", left: "EslChannel") -> None:
    """One of two has hung up. The other parks when it was told to, else it goes as well."""
    left.other = None
    told = {"Bridge-A-Unique-ID": gone.leg.id, "Bridge-B-Unique-ID": left.leg.id}
    left.tell("CHANNEL_UNBRIDGE", told)
    left.face.switch.leave(left.leg)
    if left.hung_up:
        return
    bridging = next((each for each in left.stack if isinstance(each, Bridging)), None)
    stays = left.variables.get("park_after_bridge") == "true"
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
