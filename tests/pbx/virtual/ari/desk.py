"""The ARI face without sockets, on a clock that stands still: requests in, answers and events out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.request import Answer, Request
from orchestrator.pbx.virtual.ari.routes import dispatch
from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.clips import Clips
from orchestrator.pbx.virtual.switch import Limits, Switch
from orchestrator.pbx.virtual.timeline import ManualTimeline
from tests.pbx.virtual.world import EPOCH, write_sound

Json = dict[str, Any]


class Listener:
    """A connection that writes down the events that come."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    def send(self, kind: str, frame: bytes) -> None:
        event = json.loads(frame)
        assert event["type"] == kind
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["type"] == kind]


class Desk:
    """A face, its clock, and a listener as application `app`."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        callees: Mapping[str, Callee] | None = None,
        limits: Limits | None = None,
        keep_heard: int = 10,
        trunks: tuple[str, ...] = ("lab",),
    ) -> None:
        self.timeline = ManualTimeline(EPOCH)
        clips = Clips([folder] if folder else [], clock=self.timeline.now)
        self.switch = Switch(
            self.timeline, clips, callees=callees, limits=lambda: limits or Limits(), keep_heard=keep_heard
        )
        self.face = AriFace(self.switch, Random(1), trunks=trunks)
        self.listener = Listener()
        self.connect("app", self.listener)

    def connect(self, app: str, listener: Listener, everything: bool = False) -> None:
        self.face.apps.connect(app, listener, everything, self.timeline.now())

    def ask(self, method: str, path: str, body: object = None, **query: str) -> Answer:
        """An answer that comes at once."""
        answer = self.ask_later(method, path, body, **query)
        assert isinstance(answer, Answer)
        return answer

    def ask_later(
        self, method: str, path: str, body: object = None, **query: str
    ) -> Answer | asyncio.Future[Answer]:
        return dispatch(self.face, Request(method, path, list(query.items()), body))

    def dial(self, number: str, channel: str = "c", **body: object) -> Answer:
        endpoint = f"PJSIP/1202555{number}@lab" if len(number) == 4 else f"PJSIP/{number}@lab"
        return self.ask(
            "POST",
            f"channels/{channel}",
            {"endpoint": endpoint, "app": "app", "callerId": "15550100", "timeout": 30, **body},
        )

    def up(self, number: str = "0110", channel: str = "c", **body: object) -> None:
        """A channel that is answered and in its application; what led to it is forgotten."""
        assert self.dial(number, channel, **body).status == 200
        self.pass_time(0.01)
        assert self.listener.kinds[-1] == "StasisStart"
        self.listener.events.clear()

    def pass_time(self, seconds: float) -> None:
        self.timeline.advance(seconds)


def said(answer: Answer) -> Any:
    """What is in an answer."""
    return json.loads(answer.body)


def digits(folder: Path) -> None:
    """Two sounds: `digits/1` of a second and `digits/2` of half a second, in English."""
    write_sound(folder, "en/digits/1", [1] * 8000)
    write_sound(folder, "en/digits/2", [2] * 4000)
