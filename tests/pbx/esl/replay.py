"""A server that says what a real FreeSWITCH once said, in the order of the recording.

It answers commands by itself as `FakeEsl` does, and sends the recorded events: those after an originate once
the adapter has originated, and so on at each command that the recording client gave. Ids of the recording
become the adapter's. The recorded jobs other than originates had ids of that client, and mean nothing here.
"""

from dataclasses import dataclass, field

from tests.pbx.esl.capture import Asked, Said, read
from tests.pbx.esl.fake_esl import FakeEsl, Seen, frame

_NEVER_ASKED = ("auth", "event", "uuid_record", "uuid_bridge", "noexistcommand", "exit")


@dataclass
class Replay(FakeEsl):
    name: str = ""
    _left: list[Said | Asked] = field(default_factory=list)
    _ids: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = [
            part for part in read(self.name) if isinstance(part, Asked) or part.kind.startswith("text/event-")
        ]
        self._left = _by_cause(self._left)
        self._skip()

    @property
    def done(self) -> bool:
        """Whether all of the recording was said."""
        return not self._left

    def another_client_asks(self, verb: str) -> None:
        """The recording client's next command, as if it came from somebody else."""
        asked = self._left.pop(0)
        assert isinstance(asked, Asked)
        assert asked.verb == verb
        self._skip()

    def take(self, seen: Seen) -> None:
        super().take(seen)
        if not self._left:
            return
        asked = self._left[0]
        assert isinstance(asked, Asked)
        if seen.verb != asked.verb:
            return
        self._learn(seen, asked)
        del self._left[0]
        self._skip()

    def _skip(self) -> None:
        """Say what was said until the client's next command that the adapter gives too."""
        while self._left:
            part = self._left[0]
            if isinstance(part, Said):
                self.send(self._translated(part))
            elif part.verb not in _NEVER_ASKED and part.lines[0] != "api originate nonsense":
                return
            del self._left[0]

    def _learn(self, seen: Seen, asked: Asked) -> None:
        theirs, ours = Seen("\n".join(asked.lines)), seen
        for name in ("Job-UUID", "Event-UUID"):
            if theirs.header(name) and ours.header(name):
                self._ids[theirs.header(name).encode()] = ours.header(name).encode()
        if seen.verb == "originate":
            self._ids[_origination(theirs)] = _origination(ours)

    def _translated(self, said: Said) -> bytes:
        body = said.body
        for theirs, ours in self._ids.items():
            body = body.replace(theirs, ours)
        return frame(said.kind, body)


def _by_cause(parts: list[Said | Asked]) -> list[Said | Asked]:
    """The recording client wrote its plays before it read what had come meanwhile. So put each to where its
    first consequence is."""
    ordered = list(parts)
    for asked in [part for part in parts if isinstance(part, Asked)]:
        id_ = Seen("\n".join(asked.lines)).header("Event-UUID").encode()
        at = ordered.index(asked)
        for place, part in enumerate(ordered):
            if id_ and isinstance(part, Said) and id_ in part.body:
                del ordered[at]
                ordered.insert(place - 1, asked)
                break
    return ordered


def _origination(seen: Seen) -> bytes:
    return seen.line.partition("origination_uuid=")[2].partition(",")[0].partition("}")[0].encode()
