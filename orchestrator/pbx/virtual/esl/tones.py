"""`tone_stream://%(on,off,hz,hz…);loops=N`: tones that are heard, as libteletone makes them."""

import array
import math
import re
import sys
from functools import lru_cache
from typing import Final

from orchestrator.audio.wav import SAMPLE_RATE
from orchestrator.pbx.virtual.clips import Clip

FOR_EVER: Final = 4 * 3600.0
"""How long `loops=-1` lasts here: longer than any call."""
_TONE: Final = re.compile(r"%\((\d{1,7}),(\d{1,7})((?:,\d{1,4}(?:\.\d{1,3})?){0,4})\)")
_LOOPS: Final = re.compile(r"loops=(-?\d{1,7})")
_LONGEST: Final = 60.0
"""The longest cycle that is made into samples; a longer one is silent."""
_MAX_CYCLES: Final = 10_000
_LEVEL: Final = 4000
"""Of each frequency, of 32767."""


def tones(script: str) -> list[Clip]:
    """What a script sounds like, cycle by cycle. Nothing for a script without tones."""
    cycle = _cycle(script.partition(";loops=")[0][:256])
    if cycle is None:
        return []
    found = _LOOPS.search(script)
    times = int(found[1]) if found else 1
    wanted = math.ceil(FOR_EVER / cycle.seconds) if times < 0 else max(1, times)
    return [cycle] * min(wanted, _MAX_CYCLES)


@lru_cache(maxsize=8)
def _cycle(script: str) -> Clip | None:
    pieces = [
        (int(on) / 1000, int(off) / 1000, tuple(float(each) for each in hertz.split(",") if each))
        for on, off, hertz in _TONE.findall(script)
    ]
    samples = sum(round(seconds * SAMPLE_RATE) for on, off, _ in pieces for seconds in (on, off))
    if not samples:
        return None
    if samples > _LONGEST * SAMPLE_RATE:
        return Clip("", samples)
    pcm = b"".join(
        _sound(round(on * SAMPLE_RATE), hertz) + bytes(2 * round(off * SAMPLE_RATE))
        for on, off, hertz in pieces
    )
    return Clip("", samples, pcm=pcm)


def _sound(count: int, hertz: tuple[float, ...]) -> bytes:
    turns = [2 * math.pi * each / SAMPLE_RATE for each in hertz]
    sound = array.array(
        "h", (round(sum(_LEVEL * math.sin(turn * n) for turn in turns)) for n in range(count))
    )
    if sys.byteorder == "big":
        sound.byteswap()
    return sound.tobytes()
