"""A channel as ARI shows it: the leg beneath, its events, and what is to be done on it one after another."""

import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

from orchestrator.pbx.virtual.ari.shapes import Json, destroyed_fields, dial_status, hangup_fields, stamp
from orchestrator.pbx.virtual.causes import NO_ANSWER, NORMAL, SOFT, cause_of
from orchestrator.pbx.virtual.leg import Leg

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.ari.bridge import Bridge
    from orchestrator.pbx.virtual.ari.face import AriFace
    from orchestrator.pbx.virtual.ari.tasks import Task

_OUTGOING = ("AppDial2", "(Outgoing Line)")
_NOTHING = ("", "")
_MAX_VARIABLES = 1000


class Channel:
    """One channel. It is the face of its leg: what the far end does comes here first."""

    __slots__ = (
        "_face",
        "app",
        "args",
        "bare",
        "bridge",
        "caller_name",
        "connected_name",
        "created",
        "dialled",
        "dialstring",
        "leg",
        "muted",
        "name",
        "plan",
        "protocol_id",
        "running",
        "stasis",
        "state",
        "tasks",
        "variables",
    )

    def __init__(
        self, face: "AriFace", trunk: str, dialstring: str, app: str, args: list[str], caller_name: str
    ) -> None:
        self._face = face
        self.leg: Leg
        self.name = f"PJSIP/{trunk}-{face.next_number():08x}"
        self.protocol_id = str(uuid.UUID(int=face.random.getrandbits(128), version=4))
        self.dialstring = dialstring
        self.app = app
        self.args = args
        self.caller_name = caller_name
        self.connected_name = caller_name
        self.created = stamp(face.switch.timeline.now())
        self.state = "Down"
        self.stasis = False
        """Whether it is in its Stasis application now."""
        self.dialled = True
        """Whether `Dial` has told of its beginning; not before `POST channels/{id}/dial` after a mere
        create."""
        self.bare = False
        """Whether it was merely created: no dialplan's application has ever run on it."""
        self.plan = self.outside
        self.variables: dict[str, str] | None = None
        self.tasks: deque[Task] | None = None
        self.running: Task | None = None
        self.bridge: Bridge | None = None
        self.muted = ""

    @property
    def outside(self) -> tuple[str, str]:
        """The application that it is shown with while it is not in Stasis."""
        return _NOTHING if self.bare else _OUTGOING

    def shape(self) -> Json:
        """As `GET channels/{id}` shows it."""
        number = self.leg.caller
        return {
            "id": self.leg.id,
            "name": self.name,
            "state": self.state,
            "protocol_id": self.protocol_id,
            "caller": {"name": self.caller_name, "number": number},
            "connected": {"name": self.connected_name, "number": number},
            "accountcode": "",
            "dialplan": {
                "context": self._face.context,
                "exten": "s",
                "priority": 1,
                "app_name": self.plan[0],
                "app_data": self.plan[1],
            },
            "creationtime": self.created,
            "language": "en",
        }

    def tell(self, kind: str, fields: Json | None = None, also: str = "channel") -> None:
        """Send an event about this channel to whoever listens and wants it."""
        shape: Json | None = None
        for app in self._face.apps.telling(channel=self.leg.id):
            if app.wants(kind):
                shape = shape or self.shape()
                app.send(kind, self._face.switch.timeline.now(), {**(fields or {}), also: shape})

    def tell_dial(self, status: str) -> None:
        """How the dial goes."""
        # To one that was created first, only the beginning of the dial says what was dialled [measured].
        dialstring = "" if status and self.bare else self.dialstring
        fields = {"dialstatus": status, "forward": "", "dialstring": dialstring}
        self.tell("Dial", fields, also="peer")

    # ── what the far end does ──

    def rang(self, leg: Leg) -> None:
        """SIP 180."""
        self.state = "Ringing"
        self.tell("ChannelStateChange")
        self.tell_dial("RINGING")

    def sounded(self, leg: Leg) -> None:
        """SIP 183: no change of state [measured]."""
        self.tell_dial("PROGRESS")

    def answered(self, leg: Leg) -> None:
        """SIP 200: into the application, if anybody is there."""
        self.state = "Up"
        self.tell("ChannelStateChange")
        self.tell_dial("ANSWER")
        if self.stasis:
            return
        if not self.app:
            self._destroyed(0, 0)
            return
        app = self._face.apps.get(self.app)
        plan = ("Stasis", ",".join([self.app, *self.args]))
        self.plan = plan
        self.tell("ChannelVarset", {"variable": "STASISSTATUS", "value": ""})
        if app is None or app.listener is None:
            self.tell("ChannelVarset", {"variable": "STASISSTATUS", "value": "FAILED"})
            self._destroyed(0, 0)
            return
        self.enter_stasis()

    def begin_in_stasis(self) -> None:
        """Into its application without being dialled first."""
        if not self.leg.alive:
            return
        self.plan = ("Stasis", ",".join([self.app, *self.args]))
        told = {"dialplan_app": self.plan[0], "dialplan_app_data": self.plan[1]}
        self.tell("ChannelDialplan", told)
        self.tell("ChannelVarset", {"variable": "STASISSTATUS", "value": ""})
        self.enter_stasis()

    def enter_stasis(self) -> None:
        """Into its application."""
        self.stasis = True
        self.plan = ("Stasis", ",".join([self.app, *self.args]))
        self.tell("StasisStart", {"args": self.args})

    def pressed(self, leg: Leg, key: str, seconds: float) -> None:
        """The callee pressed a key."""
        self.tell("ChannelDtmfReceived", {"digit": key, "duration_ms": round(seconds * 1000)})
        if self.running is not None:
            self.running.pressed(key)

    def refused(self, leg: Leg, cause: int, sip_status: int) -> None:
        """The far end will not take the call."""
        self.tell("ChannelHangupRequest", hangup_fields(cause, sip_status))
        self.tell_dial(dial_status(cause))
        self._destroyed(cause, sip_status)

    def left(self, leg: Leg, cause: int) -> None:
        """The callee hung up."""
        self.tell("ChannelHangupRequest", hangup_fields(cause, cause_of(cause).sip))
        self._leave_stasis()
        self._destroyed(cause, cause_of(cause).sip)

    def timed_out(self, leg: Leg) -> None:
        """Nobody answered: no request, no last `Dial` [measured]."""
        self._destroyed(NO_ANSWER, cause_of(NO_ANSWER).sip)

    # ── what is asked of it ──

    def hang_up(self, cause: int = NORMAL) -> None:
        """Hang up from our side."""
        if not self.leg.alive:
            return
        self.tell("ChannelHangupRequest", {"cause": SOFT, "soft": True})
        if self.stasis:
            self._leave_stasis()
        elif self.state != "Up":
            self.tell_dial(dial_status(cause))
        self._destroyed(cause, cause_of(cause).sip)

    def go_on(self) -> None:
        """Back into a dialplan that has nothing for it, so it ends [measured]."""
        self._leave_stasis()
        self.plan = _OUTGOING
        self.tell("ChannelDialplan", {"dialplan_app": _OUTGOING[0], "dialplan_app_data": _OUTGOING[1]})
        self._destroyed(0, 0)

    def do(self, task: "Task") -> bool:
        """Do it now, or after what is being done. True when it began at once."""
        if self.running is None:
            self.running = task
            task.start()
            return True
        if self.tasks is None:
            self.tasks = deque()
        self.tasks.append(task)
        return False

    def done(self, task: "Task") -> None:
        """A task has ended; the next one begins."""
        if self.running is not task:
            if self.tasks is not None and task in self.tasks:
                self.tasks.remove(task)
            return
        self.running = None
        while self.tasks and self.running is None:
            self.running = self.tasks.popleft()
            self.running.start()

    def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable."""
        if self.variables is None:
            self.variables = {}
        if name in self.variables or len(self.variables) < _MAX_VARIABLES:
            self.variables[name] = value

    def variable(self, name: str) -> str | None:
        """A channel variable, or one of the few functions that are known here."""
        known: dict[str, Any] = {
            "CALLERID(num)": self.leg.caller,
            "CALLERID(name)": self.caller_name,
            "CHANNEL(name)": self.name,
            "CHANNEL(state)": self.state,
            "CHANNEL(language)": "en",
            "UNIQUEID": self.leg.id,
        }
        if name in known:
            return str(known[name])
        return None if self.variables is None else self.variables.get(name)

    def _leave_stasis(self) -> None:
        """End what is being done, each with its own end [measured], and leave bridge and application."""
        tasks = [self.running] if self.running else []
        self.running = None
        if self.tasks:
            tasks += self.tasks
            self.tasks.clear()
        for task in tasks:
            task.abort()
        if self.bridge is not None:
            self.bridge.remove(self)
        if not self.stasis:
            return
        self.stasis = False
        self.tell("StasisEnd")
        self.tell("ChannelVarset", {"variable": "STASISSTATUS", "value": "SUCCESS"})
        self.plan = self.outside

    def _destroyed(self, cause: int, sip_status: int) -> None:
        self.plan = self.outside
        self._face.switch.end(self.leg, cause)
        self.tell("ChannelDestroyed", destroyed_fields(cause, sip_status))
        self._face.gone(self)
