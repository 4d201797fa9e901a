"""Stasis applications: who is connected as which, to what it listens, and which events it will not have."""

from collections.abc import Iterable
from typing import Protocol

from orchestrator.pbx.virtual.ari.shapes import Json, event


class Listener(Protocol):
    """A connection that takes events."""

    def send(self, kind: str, frame: bytes) -> None:
        """Take one; never waits."""


class App:
    """One application. It outlives its connection for as long as it is subscribed to anything."""

    __slots__ = (
        "_dropped",
        "_kept",
        "allowed",
        "bridges",
        "channels",
        "disallowed",
        "endpoints",
        "everything",
        "listener",
        "name",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.listener: Listener | None = None
        self.channels: dict[str, None] = {}
        self.bridges: dict[str, None] = {}
        self.endpoints: dict[str, None] = {}
        self.everything = False
        self.allowed: list[Json] = []
        self.disallowed: list[Json] = []
        self._kept: frozenset[str] = frozenset()
        self._dropped: frozenset[str] = frozenset()

    def filter(self, allowed: list[Json] | None, disallowed: list[Json] | None) -> None:
        """Set which types of events come and which do not; None leaves that list as it is."""
        if allowed is not None:
            self.allowed = allowed
            self._kept = frozenset(each["type"] for each in allowed)
        if disallowed is not None:
            self.disallowed = disallowed
            self._dropped = frozenset(each["type"] for each in disallowed)

    def wants(self, kind: str) -> bool:
        """Whether an event of this type would reach anybody."""
        return self.listener is not None and self.passes(kind)

    def passes(self, kind: str) -> bool:
        """Whether the filter lets this type through. It drops even REST's answers when they are not allowed
        [measured]."""
        return kind not in self._dropped and (not self._kept or kind in self._kept)

    def send(self, kind: str, now: float, fields: Json) -> None:
        """Tell its connection, if it has one and wants to hear this."""
        if self.listener is not None and self.passes(kind):
            self.listener.send(kind, event(kind, now, fields, self.name))

    def shape(self) -> Json:
        """As `GET applications/{name}` shows it."""
        if self.everything:
            channels, bridges, endpoints = (
                [f"__AST_{kind}_ALL_TOPIC"] for kind in ("CHANNEL", "BRIDGE", "ENDPOINT")
            )
        else:
            channels, bridges, endpoints = list(self.channels), list(self.bridges), list(self.endpoints)
        return {
            "name": self.name,
            "channel_ids": channels,
            "bridge_ids": bridges,
            "endpoint_ids": endpoints,
            "events_allowed": self.allowed,
            "events_disallowed": self.disallowed,
        }


class Apps:
    """All applications by name."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}

    def get(self, name: str) -> App | None:
        """The application of this name, if there is one."""
        return self._apps.get(name)

    def all(self) -> Iterable[App]:
        """Every application."""
        return self._apps.values()

    def connect(self, name: str, listener: Listener, everything: bool, now: float) -> None:
        """A connection takes the application over; the one before is told, and hears no more events.

        `everything` (subscribeAll) does nothing to an application that exists [measured]."""
        app = self._apps.get(name)
        if app is None:
            app = self._apps[name] = App(name)
            app.everything = everything
        elif app.listener is not None and app.listener is not listener:
            app.send("ApplicationReplaced", now, {})
        app.listener = listener

    def disconnect(self, listener: Listener) -> None:
        """A connection is gone; the applications that it had not lost have no listener now."""
        for app in list(self._apps.values()):
            if app.listener is listener:
                app.listener = None
                self.settle(app)

    def settle(self, app: App) -> None:
        """An application without connection and subscription is gone, and its filter with it."""
        if app.listener is None and not app.channels and not app.bridges:
            self._apps.pop(app.name, None)

    def telling(self, channel: str = "", bridge: str = "") -> list[App]:
        """Who hears of this channel or bridge."""
        return [
            app
            for app in self._apps.values()
            if app.everything or (channel in app.channels) or (bridge in app.bridges)
        ]

    def clear(self) -> None:
        """Forget them all."""
        self._apps.clear()
