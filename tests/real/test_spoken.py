"""What a speech engine renders is seen by a real Asterisk at once, and heard to the byte."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.cli.speech_checks import probing
from orchestrator.config import Config, Pbx
from orchestrator.prompts.engine import Utterance
from orchestrator.speech import open_engine
from orchestrator.speech.settings import Speech
from tests.real.ari_client import Client, client_of
from tests.real.lab import LabInfo, whole_recording
from tests.speech.conftest import fingerprint

pytestmark = pytest.mark.real

TEXT = "Your parcel arrives tomorrow."


async def test_a_text_is_rendered_seen_and_heard_without_transcoding(lab: LabInfo) -> None:
    folder = lab.sounds / "orchestrator" / "speech"
    speech = Speech(folder=str(folder))
    engine = open_engine(
        speech, folder=folder, formats=("wav", "ulaw", "alaw"), fingerprint=fingerprint, root=Path("/")
    )
    assert engine is not None
    item = await asyncio.to_thread(engine.speak, Utterance(text=TEXT, language="en"))
    node = Pbx(name="lab", url=lab.ari_url, password=lab.ari_password, dial=lab.dial)
    with probing(Config(speech=speech)) as probe:
        rows = await check_pbx(node, None, False, probe)
    assert [row.level for row in rows if "sees what is written" in row.said] == ["ok"], [
        (r.said, r.mend) for r in rows
    ]
    caller = "12025550177"
    async with client_of(lab.ari_url, lab.ari_password, f"spoken-{uuid.uuid4()}") as client:
        await _play(client, f"sound:orchestrator/{item.sound}", caller)
    heard = whole_recording(lab, f"*-{caller}-*.wav").with_suffix(".ulaw").read_bytes()
    assert (lab.sounds / f"orchestrator/{item.sound}.ulaw").read_bytes() in heard


async def _play(client: Client, media: str, caller: str) -> None:
    channel, playback = str(uuid.uuid4()), str(uuid.uuid4())
    await client.dial("0100", channel, callerId=caller)
    await client.event("StasisStart")
    await client.ask("POST", f"channels/{channel}/play/{playback}", media=media)
    await client.event("PlaybackFinished")
    await client.ask("DELETE", f"channels/{channel}")
    await client.event("StasisEnd")
