"""What this connection knows of its channels beside the calls themselves: which it dialled, what they play."""

from orchestrator.call.events import Ended, Gone, OriginateLost, PlayStarted, Refused
from orchestrator.pbx.ari.translate import Told


class ChannelBook:
    """Channels that we dialled and that have not ended, and the playback each has begun."""

    def __init__(self) -> None:
        self._playing: dict[str, str] = {}
        self._dialled: set[str] = set()

    def dialled(self, channel: str) -> None:
        self._dialled.add(channel)

    def ours(self) -> frozenset[str]:
        return frozenset(self._dialled)

    def news(self, told: Told) -> bool:
        """Whether this is to be told on. Asterisk says PlaybackStarted for each sound of a list: once is enough."""
        channel, event = told
        if isinstance(event, PlayStarted):
            if self._playing.get(channel) == event.playback:
                return False
            self._playing[channel] = event.playback
        elif isinstance(event, Ended | Gone | Refused) or event == OriginateLost("not_sent"):
            self._playing.pop(channel, None)
            self._dialled.discard(channel)
        return True
