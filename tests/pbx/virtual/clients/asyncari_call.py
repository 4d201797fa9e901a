"""A call by the public package `asyncari`, which builds itself from the API's own Swagger description.

Called with the port; prints what happened as one line of JSON.
"""

import json
import sys
from typing import Any

import anyio
import asyncari


async def call(port: int) -> list[Any]:
    """Place, play, hang up."""
    told: list[Any] = []
    base = f"http://127.0.0.1:{port}/"
    async with asyncari.connect(base, "independent", "orchestrator", "virtual") as client:
        await client.channels.originateWithId(
            channelId="c1", endpoint="PJSIP/12025550100@lab", app="independent", timeout=30
        )
        with anyio.fail_after(20):
            async for event in client:
                kind = event["type"]
                if kind == "StasisStart":
                    channel = event.channel
                    told.append(["answered", channel.state])
                    await channel.play(media="sound:orchestrator/en/digits/4")
                elif kind == "PlaybackFinished":
                    told.append(["played", event.playback.state])
                    await channel.hangup()
                elif kind == "ChannelDestroyed":
                    told.append(["ended", event["cause"]])
                    break
        told.append(["left", len(await client.channels.list())])
    return told


if __name__ == "__main__":
    print(json.dumps(anyio.run(call, int(sys.argv[1]))))
