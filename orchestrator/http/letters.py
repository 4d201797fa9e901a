"""Notifications that were given up: listed, and sent again."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from orchestrator.clock import Clock
from orchestrator.guard.keys import Key
from orchestrator.http.body import json_answer, read_json
from orchestrator.http.problems import Refusal
from orchestrator.http.shapes import DeadLetters, Letter, Replay, Replayed
from orchestrator.ledger.port import Ledger
from orchestrator.notify.payload import rfc3339
from orchestrator.validate import Fault, Invalid, decode

MOST: Final = 1000
"""Letters in one answer, and jobs in one request, at most."""
USUAL: Final = 100


class Letters:
    """The dead letters of the application that the key belongs to; all of them where there are no keys."""

    def __init__(self, ledger: Ledger, clock: Clock, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._wake = wake

    async def list(self, request: web.Request, key: Key | None) -> web.Response:
        """GET /v1/deadletters"""
        text = request.query.get("limit", str(USUAL))
        if not text.isascii() or not text.isdecimal() or len(text) > 6 or not 1 <= int(text) <= MOST:
            raise Refusal("malformed", f"`limit` must be 1 to {MOST}.")
        found = await self._ledger.dead_letters(int(text), key.application if key is not None else None)
        letters = tuple(
            Letter(
                job_id=letter.job_id,
                type=letter.type,
                sequence=letter.sequence,
                url=letter.url,
                created_at=rfc3339(letter.created_at),
                attempts=letter.attempts,
                error=letter.error,
            )
            for letter in found
        )
        return json_answer(DeadLetters(letters))

    async def replay(self, request: web.Request, key: Key | None) -> web.Response:
        """POST /v1/deadletters/replay"""
        raw = await read_json(request)
        try:
            asked = decode(raw, Replay)
        except Invalid as invalid:
            sort = "malformed" if invalid.faults[0].message.startswith("not valid JSON") else "invalid"
            raise Refusal(sort, "the request cannot be read.", errors=invalid.faults) from None
        if bool(asked.jobs) == asked.all:
            fault = Fault("$", "give either `jobs` with one id at least, or `all` as true.")
            raise Refusal("invalid", "the request says not which.", errors=[fault])
        application = key.application if key is not None else None
        count = await self._ledger.replay_dead(asked.jobs, self._clock(), application)
        if count:
            self._wake()
        return json_answer(Replayed(count))
