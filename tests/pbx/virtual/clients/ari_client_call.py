"""A call by the public package `ari-client`: httpx, websockets, every event a pydantic model.

Called with the port; prints what happened as one line of JSON.
"""

import asyncio
import json
import sys
from typing import Any

from ari_client import AriClient


async def call(port: int) -> list[Any]:
    """Place, play, hang up."""
    client = AriClient(
        host="127.0.0.1", port=port, ari_user="orchestrator", ari_password="virtual", tls_enabled=False
    )
    told: list[Any] = []
    over = asyncio.Event()

    @client.on_stasis_start  # type: ignore[untyped-decorator]
    async def started(event: Any) -> None:
        told.append(["answered", event.channel.state])
        await event.channel.play(media="sound:orchestrator/en/digits/4")

    @client.on_playback_finished  # type: ignore[untyped-decorator]
    async def played(event: Any) -> None:
        told.append(["played", event.playback.state])
        await client.ari.hangup_channel("c1")

    @client.on_channel_destroyed  # type: ignore[untyped-decorator]
    async def ended(event: Any) -> None:
        told.append(["ended", event.cause])
        over.set()

    await client.connect(app="independent")
    await client.ari.originate_with_id(channel_id="c1", endpoint="PJSIP/12025550100@lab", timeout=30)
    async with asyncio.timeout(20):
        await over.wait()
    told.append(["left", len(await client.ari.list_channels())])
    await client.disconnect()
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(int(sys.argv[1])))))
