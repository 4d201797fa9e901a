"""The tones that a switch makes itself, as in the United States (and `asterisk-conf/indications.conf`)."""

import array
import math
import sys
from functools import lru_cache
from typing import Final

from orchestrator.audio.wav import SAMPLE_RATE
from orchestrator.pbx.virtual.clips import Clip

_LEVEL: Final = 2900
"""Of 32767, of each of two frequencies: about what a switch sends."""
CADENCES: Final = {
    "ring": ((440, 480), 2.0, 4.0),
    "busy": ((480, 620), 0.5, 0.5),
    "congestion": ((480, 620), 0.25, 0.25),
    "dial": ((350, 440), 1.0, 0.0),
}
"""Frequencies in Hz, seconds of sound, seconds of silence, and again."""
_DAY: Final = 86400


@lru_cache
def tone(name: str) -> tuple[Clip, ...]:
    """The tone of this name for a day: one clip, over and over. None where there is no such tone."""
    if name not in CADENCES:
        return ()
    (low, high), sound, silence = CADENCES[name]
    samples = array.array(
        "h",
        (
            round(_LEVEL * sum(math.sin(2 * math.pi * pitch * at / SAMPLE_RATE) for pitch in (low, high)))
            for at in range(round(sound * SAMPLE_RATE))
        ),
    )
    if sys.byteorder == "big":
        samples.byteswap()
    pcm = samples.tobytes() + bytes(2 * round(silence * SAMPLE_RATE))
    clip = Clip("", len(pcm) // 2, pcm=pcm)
    return (clip,) * round(_DAY / clip.seconds)
