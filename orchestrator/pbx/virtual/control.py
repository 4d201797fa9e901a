"""The control of a running virtual PBX: HTTP and JSON, on loopback only, for tests and for people.

What a callee heard holds the code that was spoken to him, so whoever reaches this address may hear codes.
"""

import asyncio
from typing import Any, Protocol

import msgspec
from aiohttp import web

from orchestrator.pbx.virtual.callees import KEYS
from orchestrator.pbx.virtual.dice import Dice
from orchestrator.pbx.virtual.faults import NONE, Faults
from orchestrator.pbx.virtual.switch import Switch
from orchestrator.pbx.virtual.wav import wav_bytes

_encode = msgspec.json.Encoder().encode
_faults = msgspec.json.Decoder(Faults)


class Controlled(Protocol):
    """What is controlled."""

    @property
    def switch(self) -> Switch:
        """Its calls."""

    @property
    def dice(self) -> Dice:
        """Its faults."""

    def addresses(self) -> dict[str, str]:
        """Where it can be reached."""

    def heard(self, call: str) -> bytes:
        """What a callee heard, as 16-bit PCM. Raises KeyError."""

    def drop(self) -> int:
        """Break every connection off; how many there were."""

    def restart(self) -> None:
        """Forget every call and break every connection off."""


class Control:
    """Answers the control's requests."""

    def __init__(self, pbx: Controlled) -> None:
        self._pbx = pbx
        self._down: asyncio.TimerHandle | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        parts = [part for part in request.path.split("/") if part]
        try:
            return self._answer(request.method, parts, await request.read())
        except msgspec.DecodeError as error:
            return _fault(422, str(error))

    def _answer(self, method: str, parts: list[str], body: bytes) -> web.Response:
        match method, parts:
            case "GET", []:
                return _json(self._state())
            case "GET" | "PUT" | "PATCH" | "DELETE", ["faults"]:
                return self._set_faults(method, body)
            case "GET", ["calls"]:
                return _json(self._calls())
            case "GET", ["calls", call, "heard.wav"]:
                return self._heard(call)
            case "POST", ["calls", call, what]:
                return self._move(call, what, msgspec.json.decode(body or b"{}", type=_Move))
            case "POST", ["drop"]:
                return _json({"dropped": self._pbx.drop()})
            case "POST", ["restart"]:
                return self._restart(msgspec.json.decode(body or b"{}", type=_Restart).down)
            case _:
                return _fault(404, "there is no such thing here; GET / tells what there is")

    def _state(self) -> dict[str, Any]:
        switch = self._pbx.switch
        return {
            **self._pbx.addresses(),
            "calls": len(switch.legs),
            "dialled": switch.dialled,
            "faults": msgspec.to_builtins(self._pbx.dice.faults),
            "paths": [
                "GET /faults",
                "PUT /faults",
                "PATCH /faults",
                "DELETE /faults",
                "GET /calls",
                "GET /calls/ID/heard.wav",
                "POST /calls/ID/hangup",
                "POST /calls/ID/press",
                "POST /calls/ID/answer",
                "POST /drop",
                "POST /restart",
            ],
        }

    def _set_faults(self, method: str, body: bytes) -> web.Response:
        dice = self._pbx.dice
        if method == "PUT":
            dice.set(_faults.decode(body or b"{}"))
        elif method == "PATCH":
            changed = msgspec.json.decode(body or b"{}", type=dict[str, Any])
            dice.set(msgspec.convert({**msgspec.to_builtins(dice.faults), **changed}, Faults))
        elif method == "DELETE":
            dice.set(NONE)
        return _json(msgspec.to_builtins(dice.faults))

    def _calls(self) -> list[dict[str, Any]]:
        switch = self._pbx.switch
        live = [
            _call(leg.id, leg.number, leg.caller, leg.state, leg.answered_at, None, leg.heard_keys)
            for leg in switch.legs.values()
        ]
        ended = [
            _call(each.id, each.number, each.caller, "over", each.answered_at, each.cause, each.keys)
            for each in switch.ended.values()
        ]
        return ended + live

    def _heard(self, call: str) -> web.Response:
        try:
            pcm = self._pbx.heard(call)
        except KeyError:
            return _fault(404, "nothing is known of what this call heard; see keep_heard")
        headers = {"Content-Type": "audio/wav", "Cache-Control": "no-store"}
        return web.Response(body=wav_bytes(pcm), headers=headers)

    def _move(self, call: str, what: str, move: "_Move") -> web.Response:
        switch = self._pbx.switch
        leg = switch.legs.get(call)
        if leg is None:
            return _fault(404, "no such call lives")
        match what:
            case "hangup":
                switch.hang_up_callee(leg, move.cause)
            case "press":
                switch.press(leg, "".join(key for key in move.keys if key in KEYS))
            case "answer":
                switch.answer(leg)
            case _:
                return _fault(404, "a callee can hangup, press and answer")
        return _json({})

    def _restart(self, down: float) -> web.Response:
        """Down for so many seconds: connections are refused meanwhile."""
        dice = self._pbx.dice
        if down > 0:
            dice.set(msgspec.structs.replace(dice.faults, refuse=True))
            self._down = asyncio.get_running_loop().call_later(down, self._up)
        asyncio.get_running_loop().call_soon(self._pbx.restart)
        return _json({})

    def _up(self) -> None:
        dice = self._pbx.dice
        dice.set(msgspec.structs.replace(dice.faults, refuse=False))


class _Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cause: int = 16
    keys: str = ""


class _Restart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    down: float = 0.0


def _call(
    call_id: str,
    number: str,
    caller: str,
    state: str,
    answered_at: float | None,
    cause: int | None,
    keys: str,
) -> dict[str, Any]:
    return {
        "id": call_id,
        "number": number,
        "caller": caller,
        "state": state,
        "answered_at": answered_at,
        "cause": cause,
        "keys": keys,
    }


def _json(value: object) -> web.Response:
    return web.Response(body=_encode(value), headers={"Content-Type": "application/json"})


def _fault(status: int, message: str) -> web.Response:
    return web.Response(
        status=status, body=_encode({"message": message}), headers={"Content-Type": "application/json"}
    )
