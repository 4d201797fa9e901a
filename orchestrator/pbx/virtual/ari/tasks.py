"""What is done on a channel one thing after another: playing, recording, sending keys, entering a bridge.

Asterisk queues these on a channel's control: a second playback waits for the first, and so does a request to
enter a bridge [measured].
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.ari.channel import Channel


class Task(Protocol):
    """Something that takes time on a channel. It calls `channel.done` when it is over by itself."""

    def start(self) -> None:
        """Begin."""

    def abort(self) -> None:
        """The channel hangs up: end, whether it has begun or not."""

    def pressed(self, key: str) -> None:
        """The callee pressed a key."""


class SendKeys:
    """Keys sent to the callee."""

    def __init__(self, channel: "Channel", at: Callable[[Callable[[], None]], Timer], keys: str) -> None:
        self._channel = channel
        self._at = at
        self._keys = keys
        self._timer: Timer | None = None

    def start(self) -> None:
        self._channel.leg.heard_keys = (self._channel.leg.heard_keys + self._keys)[-64:]
        self._timer = self._at(lambda: self._channel.done(self))

    def abort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def pressed(self, key: str) -> None:
        pass


class Enter:
    """Entering a bridge, once nothing else is done on the channel. `then` is told whether it came to that."""

    def __init__(self, channel: "Channel", enter: Callable[[], None], then: Callable[[bool], None]) -> None:
        self._channel = channel
        self._enter = enter
        self._then = then

    def start(self) -> None:
        self._enter()
        self._channel.done(self)
        self._then(True)

    def abort(self) -> None:
        self._then(False)

    def pressed(self, key: str) -> None:
        pass
