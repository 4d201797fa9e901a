"""What goes wrong on purpose: settings that may change at any moment."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Chance = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Kind = Literal["originate", "play", "hangup", "ask", "other"]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All faults, off by default. Chances are 0 to 1, times are seconds."""

    latency: Seconds = 0.0
    """How long every request waits before it is carried out."""
    answer_latency: Seconds = 0.0
    """How long every answer waits after its request was carried out."""
    event_latency: Seconds = 0.0
    """How long every event waits."""
    lose_events: Chance = 0.0
    duplicate_events: Chance = 0.0
    reorder_events: Chance = 0.0
    """Of an event being overtaken by the next one."""
    lose_requests: Chance = 0.0
    """Of a request that is neither carried out nor answered."""
    lose_answers: Chance = 0.0
    """Of a request that is carried out and never answered."""
    error_rate: Chance = 0.0
    """Of a request being answered `error_status` without being carried out."""
    error_status: Annotated[int, Meta(ge=400, le=599)] = 503
    error_on: tuple[Kind, ...] = ()
    """Which requests may be answered or lost so; none named: all."""
    drop_rate: Chance = 0.0
    """Of the connection being broken off at a request."""
    stall: bool = False
    """Nothing is carried out, answered or told until this is false again. Connections stay open."""
    half_open: bool = False
    """Nothing is read from or written to any connection any more: the network is gone and nobody says so."""
    refuse: bool = False
    """New connections are refused."""
    max_calls: Annotated[int, Meta(ge=0)] = 0
    """Calls at the same time; 0: as many as come. FreeSWITCH: the session limit."""
    max_cps: Annotated[int, Meta(ge=0)] = 0
    """Calls begun within one second; 0: as many as come. FreeSWITCH: sessions-per-second."""


NONE = Faults()
