"""A call's recording, fetched from the PBX that made it."""

import asyncio
import io
import struct
import wave
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from orchestrator.audio.g711 import encode_alaw
from orchestrator.http.problems import Refusal, later
from orchestrator.pbx.errors import PbxUnreachable, RecordingNotFound
from orchestrator.pbx.port import Pbx

CHUNK: Final = 64 * 1024
_ALAW: Final = 6
"""The format tag of A-law in a WAV file (RFC 2361)."""


async def stream_recording(
    request: web.Request, cdrs: tuple[dict[str, Any], ...], nodes: Mapping[str, Pbx]
) -> web.StreamResponse:
    """The latest recording among the job's call records, as a WAV file.

    Raises `Refusal`.
    """
    form = request.query.get("format", "wav")
    if form not in ("wav", "alaw"):
        raise Refusal("malformed", "`format` must be wav or alaw.")
    found = next((cdr for cdr in reversed(cdrs) if cdr.get("recording")), None)
    node = nodes.get(found["pbx"]) if found is not None else None
    if found is None or node is None:
        raise Refusal("not-found", "the job has no recording.")
    try:
        wav = await node.fetch_recording(found["recording"])
    except RecordingNotFound:
        raise Refusal("not-found", "the recording is no longer on the PBX.") from None
    except PbxUnreachable:
        raise later("unavailable", "the PBX that has the recording cannot be asked now.", 5.0) from None
    if form == "alaw":
        wav = await asyncio.to_thread(alaw_of, wav)
    answer = web.StreamResponse(headers={"Content-Type": "audio/wav"})
    answer.content_length = len(wav)
    await answer.prepare(request)
    for start in range(0, len(wav), CHUNK):
        await answer.write(wav[start : start + CHUNK])
    await answer.write_eof()
    return answer


def alaw_of(wav: bytes) -> bytes:
    """A 16-bit PCM WAV file as an A-law one: half the size, and what the line carried.

    Raises `Refusal` for any other WAV file.
    """
    try:
        with wave.open(io.BytesIO(wav)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            pcm: bytes = file.readframes(file.getnframes())
    except (wave.Error, EOFError):
        width = 0
    if width != 2:
        raise Refusal("not-found", "the recording is not 16-bit PCM; fetch it as it is, with format=wav.")
    codes = encode_alaw(pcm)
    pad = b"\0" * (len(codes) % 2)
    form = struct.pack("<HHIIHHH", _ALAW, channels, rate, rate * channels, channels, 8, 0)
    parts = [
        b"fmt " + struct.pack("<I", len(form)) + form,
        b"fact" + struct.pack("<II", 4, len(codes) // channels),
        b"data" + struct.pack("<I", len(codes)) + codes + pad,
    ]
    content = b"WAVE" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content
