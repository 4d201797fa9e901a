"""A node of `kind = "virtual"` that speaks ESL: its recordings lie where its configuration says. Tier:
loopback."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from time import time

import pytest

from orchestrator.call.commands import Bridge, Record, StopRecording
from orchestrator.call.events import Bridged, Ready, RecordingFinished, RecordingStarted
from orchestrator.config import Pbx
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.port import Dial
from orchestrator.setup import make_pbx
from tests.pbx.ari.fake_ari import Worker


async def test_a_virtual_freeswitch_writes_recordings_where_its_configuration_says(tmp_path: Path) -> None:
    config = Pbx(
        name="v",
        kind="virtual",
        url="esl://127.0.0.1:0",
        dial="sofia/gateway/lab/{number}",
        recordings=str(tmp_path / "kept"),
    )
    worker = Worker()
    node = make_pbx(config, worker.take, time)
    with pytest.raises(PbxUnreachable, match="not running"):
        await node.fetch_recording("r")
    with pytest.raises(PbxUnreachable, match="not running"):
        await node.delete_recording("r")
    task = asyncio.create_task(node.run())
    try:
        await worker.link(up=True)
        for channel in ("a", "b"):
            node.send(Dial(channel, "+12025550110", None, 30))
        await worker.until(lambda: worker.events.count(Ready()) == 2)
        node.send(Bridge("a", "b"))
        await worker.event(Bridged)
        node.send(Record("a", "r", 60))
        await worker.event(RecordingStarted)
        node.send(StopRecording("a", "r"))
        assert (await worker.event(RecordingFinished)).ok
        assert (await node.fetch_recording("r")).startswith(b"RIFF")
        assert [each.name for each in (tmp_path / "kept").iterdir()] == ["r.wav"]
        await node.delete_recording("r")
        assert not list((tmp_path / "kept").iterdir())
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
