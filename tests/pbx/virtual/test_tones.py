"""The tones of the virtual switch against the frequencies and cadences that they are to have."""

import numpy as np
import pytest

from orchestrator.pbx.virtual.clips import samples_of
from orchestrator.pbx.virtual.tones import CADENCES, tone


@pytest.mark.parametrize("name", CADENCES)
def test_a_tone_has_its_two_frequencies_then_silence_and_lasts_a_day(name: str) -> None:
    pitches, sound, silence = CADENCES[name]
    clips = tone(name)
    assert {*clips} == {clips[0]}
    assert sum(clip.seconds for clip in clips) == pytest.approx(86400)
    assert clips[0].seconds == pytest.approx(sound + silence)
    samples = np.frombuffer(samples_of(clips[0]), dtype="<i2")
    assert len(samples) == clips[0].samples
    loud = samples[: round(8000 * sound)]
    assert not samples[len(loud) :].any()
    power = np.abs(np.fft.rfft(loud, 8000))
    assert {int(at) for at in np.argsort(power)[-2:]} == {*pitches}


def test_a_tone_that_nobody_knows_is_none() -> None:
    assert tone("howler") == ()
