"""Side (a): calls that ARI merely starts. The dialplan plays and hangs up; we only count the ends.

This is what Asterisk can do on this machine; no worker can be faster.
"""

import asyncio
import time
import uuid
from typing import Any

import aiohttp
import msgspec

from orchestrator.pace import Pace
from tests.real.lab import LabInfo

APP = "bench-dialplan"


class Run(msgspec.Struct, frozen=True):
    """How many calls ended after an answer, how many otherwise, over how long."""

    ended: int
    failed: int
    seconds: float


async def run(lab: LabInfo, calls: int, concurrent: int, cps: float) -> Run:
    """Start `calls` calls, `cps` a second, `concurrent` at once, each played by the `bench` context."""
    auth = aiohttp.BasicAuth(lab.ari_username, lab.ari_password)
    async with aiohttp.ClientSession(auth=auth) as http:
        url = f"{lab.ws_url}?app={APP}&subscribeAll=true"
        async with http.ws_connect(url, max_msg_size=0) as ws:
            async with http.put(
                f"{lab.ari_url}/applications/{APP}/eventFilter",
                json={"allowed": [{"type": "ChannelDestroyed"}]},
            ) as answer:
                assert answer.status == 200, await answer.text()
            return await _calls(ws, lab, calls, concurrent, Pace(cps))


async def _calls(
    ws: aiohttp.ClientWebSocketResponse, lab: LabInfo, calls: int, concurrent: int, pace: Pace
) -> Run:
    mine: set[str] = set()
    ended = failed = started = 0
    began = time.monotonic()
    while ended + failed < calls:
        while started < calls and len(mine) < concurrent and not pace.wait(time.monotonic()):
            pace.take(time.monotonic())
            channel = str(uuid.uuid4())
            mine.add(channel)
            started += 1
            await ws.send_str(_originate(channel, lab, started))
        pause = pace.wait(time.monotonic()) if started < calls and len(mine) < concurrent else 60.0
        try:
            async with asyncio.timeout(pause):
                message = await ws.receive_str()
        except TimeoutError:
            continue
        event: dict[str, Any] = msgspec.json.decode(message)
        if event["type"] == "RESTResponse" and event["status_code"] >= 300:
            mine.discard(event["request_id"])
            failed += 1
        elif event["type"] == "ChannelDestroyed" and event["channel"]["id"] in mine:
            mine.discard(event["channel"]["id"])
            if event["cause"] == 16:
                ended += 1
            else:
                failed += 1
    return Run(ended, failed, time.monotonic() - began)


def _originate(channel: str, lab: LabInfo, n: int) -> str:
    return msgspec.json.encode(
        {
            "type": "RESTRequest",
            "transaction_id": channel,
            "request_id": channel,
            "method": "POST",
            "uri": "channels",
            "content_type": "application/json",
            "message_body": msgspec.json.encode(
                {
                    "endpoint": lab.sipp_dial.format(number=f"1555{n:07d}"),
                    "context": "bench",
                    "extension": "play",
                    "priority": 1,
                    "channelId": channel,
                    "timeout": 30,
                }
            ).decode(),
        }
    ).decode()
