"""Clips one after another: not a sample is lost or heard twice where one ends and the next begins."""

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.hearing import Ear
from orchestrator.pbx.virtual.playing import Playing
from orchestrator.pbx.virtual.timeline import ManualTimeline
from tests.pbx.virtual.world import samples_in

EPOCH = 1_790_000_000.0


def spoken(lengths: list[int]) -> tuple[list[Clip], list[int]]:
    """Clips of so many samples, none of them 0, and all of them in a row."""
    samples = [n % 30_000 + 1 for n in range(sum(lengths))]
    clips, at = [], 0
    for length in lengths:
        piece = samples[at : at + length]
        clips.append(Clip("", length, pcm=b"".join(n.to_bytes(2, "little", signed=True) for n in piece)))
        at += length
    return clips, samples


@given(
    answered=st.floats(0, 1),
    waits=st.floats(0, 0.02),
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
# Half a sample after the answer: one clip's end and the next one's beginning round to different samples.
@example(answered=0.1, waits=0.5 / 8000, lengths=[3, 2, 3, 2, 3, 2, 3, 2])
@example(answered=0.3, waits=2.5 / 8000, lengths=[101, 7, 202, 33, 101, 202])
def test_every_sample_of_every_clip_is_heard_once(answered: float, waits: float, lengths: list[int]) -> None:
    timeline = ManualTimeline(EPOCH + answered)
    ear = Ear(timeline.now())
    clips, samples = spoken(lengths)
    timeline.advance(waits)
    ended: list[float] = []
    Playing(timeline, clips, over=ended.append, sounds=ear.begin, silent=ear.finish).start(timeline.now())
    timeline.advance(sum(lengths) / 8000 + 0.01)
    heard = samples_in(ear.pcm(timeline.now()))
    first = next(n for n, sample in enumerate(heard) if sample)
    assert len(ended) == 1
    assert heard[first : first + len(samples)] == samples
    assert not any(heard[first + len(samples) :])


@given(pauses=st.lists(st.floats(0, 0.05), min_size=1, max_size=4))
def test_what_was_paused_goes_on_at_the_next_sample(pauses: list[float]) -> None:
    timeline = ManualTimeline(EPOCH)
    ear = Ear(timeline.now())
    clips, samples = spoken([800, 400, 800])
    playing = Playing(timeline, clips, over=lambda at: None, sounds=ear.begin, silent=ear.finish)
    playing.start(timeline.now())
    for pause in pauses:
        timeline.advance(pause)
        playing.pause()
        timeline.advance(pause)
        playing.resume()
    timeline.advance(1.0)
    assert [sample for sample in samples_in(ear.pcm(timeline.now())) if sample] == samples
