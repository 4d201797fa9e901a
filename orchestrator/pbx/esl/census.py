"""Reconciliation: what FreeSWITCH's own list of channels says about channels that nobody believes in. Pure.

The list comes from a database that lags behind the calls, so it never decides about a call of ours: each is
asked for by name. What it is good for is to find channels that were forgotten.
"""

from collections.abc import Collection

import msgspec

from orchestrator.pbx.errors import PbxProtocolError


class _Row(msgspec.Struct, frozen=True, gc=False):
    uuid: str = ""
    direction: str = ""


class _Listed(msgspec.Struct, frozen=True, gc=False):
    rows: list[_Row] = []


_decoder = msgspec.json.Decoder(_Listed)


def outbound(listed: str) -> tuple[str, ...]:
    """The outbound channels in the output of `show channels as json`. Raises `PbxProtocolError`."""
    try:
        rows = _decoder.decode(listed).rows
    except (msgspec.DecodeError, RecursionError):
        raise PbxProtocolError("FreeSWITCH's list of channels is none") from None
    return tuple(row.uuid for row in rows if row.direction == "outbound" and row.uuid)


def strangers(listed: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Of the channels `listed`, those that are not `known`."""
    return tuple(channel for channel in dict.fromkeys(listed) if channel not in known)
