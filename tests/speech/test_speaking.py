"""Free text becomes a sound that the PBX plays: rendered once, whoever asks."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from orchestrator.audio.g711 import encode_alaw, encode_ulaw
from orchestrator.audio.wav import read_wav
from orchestrator.prompts.engine import Utterance
from orchestrator.prompts.errors import EngineFailed, EngineMissing
from orchestrator.speech import SpeechEngine, open_engine
from orchestrator.speech.settings import Command, Speech, Spoken
from tests.speech.conftest import Beeper, OpenEspeak, fingerprint

TEXT = "Your parcel comes tomorrow"


def say(engine: SpeechEngine, text: str = TEXT, **manner: object) -> str:
    return engine.speak(Utterance(text=text, language="en", **manner)).sound  # type: ignore[arg-type]


def test_a_text_is_rendered_once_in_every_encoding_and_found_again_after_a_restart(beeper: Beeper) -> None:
    item = beeper.engine().speak(Utterance(text=TEXT, language="en"))
    wav = beeper.sounds.parent / f"{item.sound}.wav"
    pcm = read_wav(wav)
    assert 500 <= item.ms <= 540
    assert abs(len(pcm) / 16 - item.ms) < 1
    assert wav.with_suffix(".ulaw").read_bytes() == encode_ulaw(pcm)
    assert wav.with_suffix(".alaw").read_bytes() == encode_alaw(pcm)
    assert {path.stat().st_mode & 0o777 for path in beeper.sounds.glob("[!.]*")} == {0o644}
    assert beeper.sounds.stat().st_mode & 0o777 == 0o755
    assert beeper.engine().speak(Utterance(text=f" {TEXT}\n", language="en")).sound == item.sound
    assert beeper.texts == [TEXT]


def test_every_part_of_the_manner_makes_another_sound(beeper: Beeper) -> None:
    engine = beeper.engine(("{output}", "{rate}", "{pitch}", "{voice}"))
    sounds = {say(engine), say(engine, rate=1.5), say(engine, pitch=2.0), say(engine, voice="joe")}
    sounds |= {say(engine, volume=-6.0), say(engine, text="Another one")}
    assert len(sounds) == 6


def test_many_who_ask_at_once_share_one_rendering(beeper: Beeper) -> None:
    engine = beeper.engine()
    together = threading.Barrier(8)

    def ask() -> str:
        together.wait()
        return say(engine)

    with ThreadPoolExecutor(8) as pool:
        sounds = {asked.result() for asked in [pool.submit(ask) for _ in range(8)]}
    assert len(sounds) == 1
    assert len(beeper.texts) == 1


def test_several_processes_share_one_rendering(beeper: Beeper) -> None:
    asks = f"""
from pathlib import Path
from tests.speech.conftest import fingerprint
from orchestrator.prompts.engine import Utterance
from orchestrator.speech import open_engine
from orchestrator.speech.settings import Command, Speech
beep = Command(command=({str(beeper.program)!r},), languages=("en",))
engine = open_engine(Speech(commands={{"beep": beep}}), folder=Path({str(beeper.sounds)!r}),
    formats=("wav",), fingerprint=fingerprint, root=Path("/"))
print(engine.speak(Utterance(text={TEXT!r}, language="en")).sound)
"""
    beeper.does("import time, os\nwhile len(list(folder.glob('asked-*'))) < 2: time.sleep(0.01)")
    processes = [
        subprocess.Popen([sys.executable, "-c", asks], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        (beeper.folder / f"asked-{process.pid}").touch()
    sounds = {process.communicate(timeout=30)[0] for process in processes}
    assert len(sounds) == 1
    assert len(beeper.texts) == 1


def test_the_text_is_in_no_argument_no_error_and_no_name(
    beeper: Beeper, capfd: pytest.CaptureFixture[str]
) -> None:
    beeper.does(
        "sys.stderr.write(text.decode()); assert TEXT not in repr(sys.argv); sys.exit(3)".replace(
            "TEXT", repr("parcel")
        )
    )
    with pytest.raises(EngineFailed) as error:
        say(beeper.engine())
    assert "exit code 3" in str(error.value)
    assert beeper.texts == [TEXT]
    assert error.value.__cause__ is None
    assert "parcel" not in f"{error.value!r} {capfd.readouterr()}"
    assert not [path for path in beeper.sounds.iterdir() if not path.name.startswith(".lock-")]


def test_a_failure_is_not_kept_and_reaches_all_who_wait(beeper: Beeper) -> None:
    beeper.does("sys.exit(1)")
    engine = beeper.engine()
    with pytest.raises(EngineFailed):
        say(engine)
    beeper.does("")
    assert say(engine).startswith("speech/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 1001, "1001 characters"),
        ("…!?\x00 ", "nothing in it"),
    ],
)
def test_an_unfit_text_is_refused_before_any_engine_runs(beeper: Beeper, text: str, said: str) -> None:
    with pytest.raises(EngineFailed, match=said):
        say(beeper.engine(), text)
    assert beeper.texts == []


def test_control_characters_lines_and_engine_orders_do_not_reach_the_engine(beeper: Beeper) -> None:
    say(beeper.engine(), "Come\x00 \x1b[2Jto\nme [[h@l'oU]] <speak>now</speak>\u202e|")
    assert beeper.texts == ["Come 2Jto me h@l'oU speak now /speak"]


def test_a_language_that_no_engine_speaks_is_refused_with_the_mend(beeper: Beeper) -> None:
    with pytest.raises(EngineMissing, match=r"no speech engine speaks zh-CN .*; or use kokoro, piper"):
        beeper.engine().speak(Utterance(text="你好", language="zh-CN"))
    assert beeper.engine().speaker_of("zh").fault
    assert beeper.engine().speaker_of("en").engine == "beep"


def test_a_manner_that_the_engine_has_not_is_refused(beeper: Beeper) -> None:
    settings = Speech(
        commands={"beep": Command(command=(str(beeper.program),))}, languages={"en": Spoken(engine="beep")}
    )
    engine = open_engine(
        settings, folder=beeper.sounds, formats=("wav",), fingerprint=fingerprint, root=beeper.folder
    )
    assert engine is not None
    for manner in ({"rate": 2.0}, {"pitch": 3.0}, {"voice": "joe"}):
        with pytest.raises(EngineMissing, match=r"beep cannot change its"):
            say(engine, **manner)


def test_a_folder_that_cannot_be_written_is_told_with_the_mend(beeper: Beeper, tmp_path: Path) -> None:
    beeper.sounds.write_text("a file")
    with pytest.raises(EngineFailed, match=r"cannot be written to.*speech\.folder"):
        say(beeper.engine())
    with pytest.raises(EngineFailed, match=r"speech\.folder"):
        beeper.engine().check()


def test_switched_off_there_is_no_engine(tmp_path: Path) -> None:
    off = Speech(enabled=False)
    assert open_engine(off, folder=tmp_path, formats=("wav",), fingerprint=fingerprint, root=tmp_path) is None


def test_too_many_texts_at_once_wait_for_their_turn_and_then_give_up(beeper: Beeper) -> None:
    engine = beeper.engine(parallel=1, timeout=0.05)
    beeper.does("import time\nwhile True: time.sleep(1)")
    failures: list[str] = []

    def ask(number: int) -> None:
        with pytest.raises(EngineFailed) as error:
            say(engine, f"text {number}")
        failures.append(error.value.what)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(12)))
    assert any("too much to do" in failure for failure in failures)
    assert any("longer than 0.05 s" in failure for failure in failures)


def test_espeak_speaks_english_and_obeys_rate_pitch_voice_and_volume(open_espeak: OpenEspeak) -> None:
    engine = open_espeak()
    plain = engine.speak(Utterance(text=TEXT, language="en-GB"))
    fast = engine.speak(Utterance(text=TEXT, language="en-GB", rate=2.0))
    other = engine.speak(Utterance(text=TEXT, language="en-GB", voice="en-us+f3"))
    assert 900 < plain.ms < 3000
    assert 0.4 < fast.ms / plain.ms < 0.65
    assert other.sound != plain.sound
    with pytest.raises(EngineMissing, match="has no voice"):
        engine.speak(Utterance(text=TEXT, language="en", voice="-w"))


def voice_hertz(wav: Path) -> float:
    """The middle pitch of a voice: how each 40 ms match themselves later, 60 to 400 Hz, where loud."""
    samples = np.frombuffer(read_wav(wav), dtype="<i2").astype(float)
    found = []
    for at in range(0, len(samples) - 640, 160):
        part = samples[at : at + 320]
        if np.sqrt(np.mean(part**2)) < 2000:
            continue
        lags = np.arange(20, 133)
        match = [part @ samples[at + lag : at + lag + 320] for lag in lags]
        scale = [np.linalg.norm(part) * np.linalg.norm(samples[at + lag : at + lag + 320]) for lag in lags]
        fit = np.array(match) / np.array(scale)
        if fit.max() > 0.8:
            # The first lag that is nearly the best: a whole number of periods matches just as well.
            found.append(8000 / lags[np.flatnonzero(fit > 0.93 * fit.max())[0]])
    return float(np.median(found))


def test_espeak_obeys_pitch_in_semitones(open_espeak: OpenEspeak, tmp_path: Path) -> None:
    engine = open_espeak()
    heard = {
        pitch: voice_hertz(
            tmp_path / f"{engine.speak(Utterance(text=TEXT, language='en', pitch=pitch)).sound}.wav"
        )
        for pitch in (-4.0, 0.0, 6.0)
    }
    for pitch in (-4.0, 6.0):
        assert 12 * math.log2(heard[pitch] / heard[0.0]) == pytest.approx(pitch, abs=1.5), heard


def test_espeak_never_speaks_mandarin_even_when_asked_by_voice(open_espeak: OpenEspeak) -> None:
    for language, voice in (("zh", None), ("zh-CN", "cmn"), ("yue", None), ("ja", "ja")):
        with pytest.raises(EngineMissing):
            open_espeak().speak(Utterance(text="你好", language=language, voice=voice))
