"""A channel as FreeSWITCH shows it: the leg beneath, its states, its applications, and the events of each."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.callees import KEYS
from orchestrator.pbx.virtual.causes import NO_ANSWER, cause_of
from orchestrator.pbx.virtual.esl import bridging
from orchestrator.pbx.virtual.esl.fields import Fields, channel_fields, ending_fields, variable_fields
from orchestrator.pbx.virtual.leg import Leg

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.execution import Execution
    from orchestrator.pbx.virtual.esl.face import EslFace
    from orchestrator.pbx.virtual.esl.recording import Recording
    from orchestrator.pbx.virtual.timeline import Timer

_BYE_OK = 200
_TO_HANGUP, _TO_REPORTING, _TO_DESTROY = "10", "11", "12"
_RTP_SAMPLES_A_SECOND = 8000


class EslChannel:
    """One channel. It is the face of its leg: what the far end does comes here first."""

    __slots__ = (
        "_begin",
        "_done",
        "answer_state",
        "bridged_first",
        "call_state",
        "cause",
        "cause_code",
        "ending",
        "face",
        "has_media",
        "hung_up",
        "hung_up_at",
        "in_dialplan",
        "leg",
        "media_at",
        "name",
        "other",
        "progress_at",
        "queue",
        "recordings",
        "scheduled",
        "sip_status",
        "stack",
        "state",
        "variables",
    )

    def __init__(
        self,
        face: "EslFace",
        name: str,
        variables: dict[str, str],
        begin: Callable[["EslChannel"], None],
        done: Callable[[str], None],
    ) -> None:
        self.face = face
        self.leg: Leg
        self.name = name
        self.variables = variables
        self._begin = begin
        """Runs the application that the originate named."""
        self._done: Callable[[str], None] | None = done
        """Answers the originate."""
        self.state = "CS_INIT"
        self.call_state = "DOWN"
        self.answer_state = "ringing"
        self.hung_up = False
        self.cause = "NONE"
        self.cause_code = 0
        self.sip_status = 0
        self.progress_at: float | None = None
        self.media_at: float | None = None
        self.hung_up_at: float | None = None
        self.ending = ""
        """The number of the state that it is on its way to, once it has been hung up."""
        self.has_media = False
        self.in_dialplan = False
        self.other: EslChannel | None = None
        self.bridged_first = False
        """Whether it is the one of the bridge that was named first."""
        self.stack: list[Execution] = []
        """The applications that run, each within the one before."""
        self.queue: deque[Execution] | None = None
        """Those that wait until one that is locked is done, or until the channel has been answered."""
        self.scheduled: dict[int, Timer] | None = None
        self.recordings: dict[str, Recording] | None = None

    @property
    def ready(self) -> bool:
        """Whether its applications have begun."""
        return self.state in ("CS_EXECUTE", "CS_EXCHANGE_MEDIA", "CS_SOFT_EXECUTE", "CS_PARK")

    def tell(self, name: str, fields: Fields | None = None, *, variables: bool = True) -> None:
        """Send an event about this channel to whoever listens."""
        if self.face.heard(name):
            told = channel_fields(self)
            if variables:
                told |= variable_fields(self)
            if self.state == "CS_REPORTING":
                told |= ending_fields(self)
            self.face.tell(name, {**told, **(fields or {})})

    def dump(self) -> Fields:
        """As `uuid_dump` shows it."""
        return {**channel_fields(self), **variable_fields(self)}

    # ── what the far end does ──

    def created(self) -> None:
        """It exists now."""
        self.tell("CHANNEL_CREATE")
        self.state = "CS_CONSUME_MEDIA"

    def rang(self, leg: Leg) -> None:
        """SIP 180."""
        self.progress_at = self.face.now()
        self.tell("CHANNEL_PROGRESS")
        self.call_state = "RINGING"

    def sounded(self, leg: Leg) -> None:
        """SIP 183. Unless early media is ignored, it counts as an answer to the originate."""
        self.media_at = self.face.now()
        self.has_media = True
        self.answer_state = "early"
        self.tell("CHANNEL_PROGRESS_MEDIA")
        self.call_state = "EARLY"
        if self.variables.get("ignore_early_media", "false") not in ("true", "ring_ready", "consume"):
            self._run()

    def answered(self, leg: Leg) -> None:
        """SIP 200."""
        self.answer_state = "answered"
        self.has_media = True
        self.tell("CHANNEL_ANSWER")
        self.call_state = "ACTIVE"
        self.face.on_answer(self)
        if not self.ready and not self.hung_up:
            self._run()

    def pressed(self, leg: Leg, key: str, seconds: float) -> None:
        """The callee pressed a key."""
        if key not in KEYS:
            return
        fields = {
            "DTMF-Digit": key,
            "DTMF-Duration": str(round(seconds * _RTP_SAMPLES_A_SECOND)),
            "DTMF-Source": "RTP",
        }
        self.tell("DTMF", fields, variables=False)
        if self.stack:
            self.stack[-1].pressed(key)
        if self.other is not None and not bridging.runs_within(self):
            self.other.leg.heard_keys = (self.other.leg.heard_keys + key)[-64:]

    def refused(self, leg: Leg, cause: int, sip_status: int) -> None:
        """The far end will not take the call."""
        self.sip_status = sip_status
        self.hang_up(cause)

    def left(self, leg: Leg, cause: int) -> None:
        """The callee hung up: its BYE was answered 200."""
        self.sip_status = _BYE_OK
        self.hang_up(cause)

    def timed_out(self, leg: Leg) -> None:
        """Nobody answered in time."""
        self.hang_up(NO_ANSWER)

    # ── what is asked of it ──

    def execute(self, execution: "Execution") -> None:
        """Run an application: within the one that runs now, or after it when that is locked."""
        if self.hung_up:
            return
        if not self.ready or (self.stack and self.stack[-1].locked):
            if self.queue is None:
                self.queue = deque()
            self.queue.append(execution)
            return
        if self.stack:
            self.stack[-1].suspend()
        if self.other is not None:
            bridging.interrupt(self)
        self.stack.append(execution)
        execution.start()

    def executed(self, execution: "Execution") -> None:
        """An application is over; what waits begins, or the one around it goes on."""
        if execution not in self.stack:
            return
        self.stack.remove(execution)
        if self.hung_up:
            return
        if self.queue and not (self.stack and self.stack[-1].locked):
            self.execute(self.queue.popleft())
        elif self.stack or self.other:
            if self.stack:
                self.stack[-1].resume()
            bridging.resume(self)
        else:
            # The dialplan has nothing more for it.
            self.face.soon(self, lambda: None if self.stack or self.other else self.hang_up(16))

    def hang_up(self, cause: int) -> None:
        """End it, whoever wants it."""
        if self.hung_up:
            return
        named = cause_of(cause)
        self.hung_up = True
        self.ending = _TO_HANGUP
        self.cause, self.cause_code = named.freeswitch, cause
        self.hung_up_at = self.face.now()
        self.answer_state = "hangup"
        self.tell("CHANNEL_HANGUP")
        if self.sip_status < 300:
            self._answer(f"-ERR {self.cause}\n")
        self.face.switch.timeline.soon(self._tear_down)

    def _tear_down(self) -> None:
        """What the channel's own thread does once it has been hung up."""
        self.queue = None
        for execution in reversed(self.stack):
            execution.abort()
        self.stack.clear()
        bridging.part(self)
        self.state = "CS_HANGUP"
        self.face.end(self)
        self.state, self.call_state, self.ending = "CS_REPORTING", "HANGUP", _TO_REPORTING
        self.tell("CHANNEL_HANGUP_COMPLETE")
        if self.sip_status >= 300:
            self._answer(f"-ERR {self.cause}\n")
        self.ending = _TO_DESTROY
        self.tell("CHANNEL_DESTROY")

    def _run(self) -> None:
        """The originate has come to something: its application begins."""
        self.state = "CS_EXECUTE"
        self.in_dialplan = True
        self._answer(f"+OK {self.leg.id}\n")
        self._begin(self)

    def _answer(self, text: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(text)
