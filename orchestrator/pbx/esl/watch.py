"""Who is bridged to whom, and FreeSWITCH's own end of each answered channel, which a living worker puts off.

A channel whose worker died must not stay up for ever: `sched_hangup` ends it `abandoned_after` the answer,
put off by each play. Two people who talk with each other are to go on talking, worker or not, for as long as
a call may last: a bridge puts their end off at once and far. What is left of a bridge has the short time
again. No I/O; times are seconds on any one monotonic clock.
"""

from orchestrator.pbx.esl.commands import Command, renew
from orchestrator.pbx.esl.settings import EslSettings


class Watch:
    """What is known of the channels of one node."""

    def __init__(self, settings: EslSettings) -> None:
        self._settings = settings
        self._put_off: dict[str, float] = {}
        self._partners: dict[str, str] = {}
        self._asked: dict[str, str] = {}

    def partner(self, channel: str) -> str:
        """The channel that it is bridged to; empty when it is in no bridge."""
        return self._partners.get(channel, "")

    def asked(self, channel: str, other: str) -> None:
        """A bridge was asked for."""
        self._asked[channel] = other

    def bridged(self, channel: str, other: str = "") -> None:
        """It stands. Without `other`: the one that was asked for."""
        other = other or self._asked.get(channel, "")
        if other:
            self._partners[channel], self._partners[other] = other, channel

    def answered(self, channel: str, now: float) -> None:
        """FreeSWITCH's own end of it is `abandoned_after` from now."""
        self._put_off[channel] = now

    def played(self, channel: str, now: float) -> tuple[Command, ...]:
        """A play is asked for: what puts the end off, when it is time."""
        period = self._settings.abandoned_after
        if channel in self._partners or now - self._put_off.get(channel, now) <= period / 2:
            return ()
        return self.renewed(channel, now)

    def renewed(self, channel: str, now: float) -> tuple[Command, ...]:
        """What puts the end off now; nothing for a channel in a bridge, whose end is far."""
        if channel in self._partners:
            return ()
        self._put_off[channel] = now
        return renew(channel, self._settings.abandoned_after)

    def parted(self, channel: str, now: float) -> tuple[Command, ...]:
        """The bridge that it was in is no more: what gives both the short time again."""
        other = self._part(channel)
        return (*self.renewed(channel, now), *self.renewed(other, now)) if other else ()

    def gone(self, channel: str, now: float) -> tuple[Command, ...]:
        """It is over: what gives the other one of its bridge the short time again."""
        other = self._part(channel)
        self._put_off.pop(channel, None)
        self._asked.pop(channel, None)
        return self.renewed(other, now) if other else ()

    def _part(self, channel: str) -> str:
        other = self._partners.pop(channel, "")
        self._partners.pop(other, None)
        return other
