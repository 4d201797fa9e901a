"""An application that runs on a channel, between its CHANNEL_EXECUTE and its CHANNEL_EXECUTE_COMPLETE."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.esl.fields import Fields
from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel

NO_RESPONSE = "_none_"


class Execution:
    """One run of one application. This one does its work at once; others take time."""

    def __init__(
        self,
        channel: "EslChannel",
        application: str,
        argument: str,
        uuid: str,
        *,
        locked: bool = False,
        work: Callable[["EslChannel", str], None] | None = None,
    ) -> None:
        self.channel = channel
        self.application = application
        self.argument = argument
        self.uuid = uuid
        self.locked = locked
        """Whether others wait until this is done (`event-lock`)."""
        self._work = work
        self._over = False

    def start(self) -> None:
        """Begin."""
        self.began()
        if self._work is not None:
            self._work(self.channel, self.argument)
        self.complete()

    def suspend(self) -> None:
        """Another application begins within this one."""

    def resume(self) -> None:
        """It is done."""

    def pressed(self, key: str) -> None:
        """The callee pressed a key."""

    def cut(self) -> None:
        """`uuid_break`."""

    def abort(self) -> None:
        """The channel hangs up."""
        self.complete()

    def began(self) -> None:
        """Tell that it begins, as the channel's variables then say too."""
        variables = self.channel.variables
        variables["current_application"] = self.application
        if self.argument:
            variables["current_application_data"] = self.argument
        else:
            variables.pop("current_application_data", None)
        self.channel.tell("CHANNEL_EXECUTE", self._fields())

    def complete(self, response: str = "") -> None:
        """Tell that it is over."""
        if self._over:
            return
        self._over = True
        variables = self.channel.variables
        if response:
            variables["current_application_response"] = response
        told = self._fields()
        told["Application-Response"] = variables.get("current_application_response", NO_RESPONSE)
        self.channel.tell("CHANNEL_EXECUTE_COMPLETE", told)
        self.channel.executed(self)

    def _fields(self) -> Fields:
        fields = {"Application": self.application}
        if self.argument:
            fields["Application-Data"] = self.argument
        fields["Application-UUID"] = self.uuid
        return fields


class Lasting(Execution):
    """One that lasts until the channel ends: `park` and what is like it."""

    def start(self) -> None:
        self.began()
        if self.application == "park":
            self.channel.tell("CHANNEL_PARK")
            if self.channel.variables.pop("park_timeout", ""):
                self.channel.variables.pop("park_after_bridge", None)  # switch_ivr.c, switch_ivr_park


class Parked(Execution):
    """Parked by the channel's state (CS_PARK), not by an application: none is told of."""

    def __init__(self, channel: "EslChannel") -> None:
        super().__init__(channel, "park", "", "")

    def complete(self, response: str = "") -> None:
        self.channel.executed(self)


class Sleeping(Execution):
    """`sleep`: some milliseconds."""

    _timer: Timer | None = None

    def start(self) -> None:
        self.began()
        text = self.argument.strip()
        seconds = min(int(text), 86_400_000) / 1000 if text.isascii() and text.isdecimal() else 0.0
        timeline = self.channel.face.switch.timeline
        self._timer = timeline.at(timeline.now() + seconds, self.complete)

    def cut(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.complete()
