"""The JSON that Asterisk 22 writes: times, channels, bridges, playbacks. Field for field as captured from
one."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from orchestrator.pbx.virtual.causes import cause_of

Json = dict[str, Any]

VERSION = "22.10.1-virtual"
ENTITY = "02:00:00:00:00:01"
"""The switch's own id: a locally administered MAC address, as Asterisk's are."""

encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(now: float) -> str:
    """A time as Asterisk writes it: `2026-11-22T12:42:07.236+0000`."""
    millis = int(now * 1000)
    return f"{_second(millis // 1000)}.{millis % 1000:03d}+0000"


def event(kind: str, now: float, fields: Json, app: str) -> bytes:
    """One event for one application."""
    return encode(
        {"type": kind, "timestamp": stamp(now), **fields, "asterisk_id": ENTITY, "application": app}
    )


def hangup_fields(cause: int, sip_status: int) -> Json:
    """Cause and SIP status of ChannelHangupRequest: the second only where there is one."""
    return {"cause": cause, "tech_cause": sip_status} if sip_status else {"cause": cause}


def destroyed_fields(cause: int, sip_status: int) -> Json:
    """Cause, its text, and the SIP status of ChannelDestroyed."""
    fields: Json = {"cause": cause, "cause_txt": cause_of(cause).asterisk}
    if sip_status:
        fields["tech_cause"] = sip_status
    return fields


def dial_status(cause: int) -> str:
    """What `Dial` says at the end of a call that was not answered [measured]."""
    return {17: "BUSY", 34: "CONGESTION", 42: "CONGESTION"}.get(cause, "NOANSWER")
