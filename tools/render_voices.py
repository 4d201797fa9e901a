"""Renders orchestrator/sounds once more: `python tools/render_voices.py render en zh`.

Needs what tools/requirements-voices.txt lists, and npm. The model and the voices are downloaded into
the folder given by --cache. `check` counts how many of 20 random codes a speech recogniser
understands when the sounds are played as the PBX plays them; `numbers` does the same with a table of
numbers, dates, times and amounts (tools/voices/cases/numbers.toml), and needs `pip install -e .` too.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from orchestrator.audio.g711 import encode_alaw, encode_ulaw  # noqa: E402
from orchestrator.audio.wav import write_wav  # noqa: E402
from tools.voices import inputs, shaping  # noqa: E402
from tools.voices.kokoro import Kokoro, Samples  # noqa: E402
from tools.voices.script import Line, Script, languages, read_script  # noqa: E402

SOUNDS = ROOT / "orchestrator" / "sounds"
SILENCES_MS = (100, 200, 300, 400, 500, 1000, 2000, 5000)
LICENCE = "Apache-2.0 (Kokoro-82M)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("action", choices=["render", "check", "numbers"])
    parser.add_argument("languages", nargs="*", help=f"default: {' '.join(languages())}")
    default_cache = Path(tempfile.gettempdir()) / "orchestrator-voices"
    parser.add_argument("--cache", type=Path, default=default_cache, help="default: %(default)s")
    parser.add_argument("--only", default="", metavar="PREFIX", help="render only such sounds: digits/")
    parser.add_argument("--seed", type=int, default=1, help="which random codes `check` plays")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    chosen = options.languages or languages()
    if options.action == "render":
        render_silences()
        render_beep()
        model = Kokoro(inputs.kokoro_model(options.cache))
        for language in chosen:
            render(read_script(language), model, options.cache, options.only)
    elif options.action == "numbers":
        from tools.voices.spoken import read_aloud  # the recogniser is needed only here

        for language in chosen:
            read_aloud(SOUNDS, language, inputs.whisper_model(options.cache))
    else:
        from tools.voices.recognise import understood  # and here

        for language in chosen:
            understood(SOUNDS, language, inputs.whisper_model(options.cache), options.seed)


def render(script: Script, model: Kokoro, cache: Path, only: str = "") -> None:
    """Write the sounds of a language whose names start with `only`, and its language.toml."""
    voice = inputs.kokoro_voice(cache, script.voice)
    folder = SOUNDS / script.tag
    gaps = {
        line.sound: script.digit_gap_ms / 1000
        for line in [*script.digits.values(), *script.characters.values()]
    }
    for line in script.lines():
        if not line.sound.startswith(only):
            continue
        samples = shaping.levelled(shaping.to_phone_rate(spoken(line, model, voice)))
        write_sound(folder / line.sound, shaping.to_pcm(samples, gaps.get(line.sound, 0.0)))
        print(f"{script.tag}/{line.sound}: {len(samples) / shaping.PHONE_RATE:.2f} s")
    (folder / "language.toml").write_text(language_toml(script), encoding="utf-8")


def spoken(line: Line, model: Kokoro, voice: bytes) -> Samples:
    """The wanted words at 24 kHz, nothing before or after them."""
    first, last = len(line.lead), len(line.lead + line.say) - 1
    stretch = {last: line.stretch} if line.stretch else {}
    speech = model.speak(line.lead + line.say + line.then, voice, line.speed, line.style, stretch)
    samples = shaping.high_passed(speech.samples)
    begin = shaping.softest(samples, speech.starts[first]) if line.lead else 0
    if not line.then:
        return shaping.trimmed(samples[begin:])
    stop = last + 1 + line.then.index("t")
    return shaping.cut_before_stop(
        samples[begin:], speech.starts[last + 1] - begin, speech.starts[stop] - begin
    )


def render_silences() -> None:
    for milliseconds in SILENCES_MS:
        write_sound(SOUNDS / "silence" / str(milliseconds), bytes(16 * milliseconds))


def render_beep() -> None:
    """A soft 250 ms of 880 Hz, some dB below the voices, faded over 10 ms at both ends."""
    at = np.arange(shaping.PHONE_RATE // 4) / shaping.PHONE_RATE
    fade = np.minimum(1, np.minimum(at, at[::-1]) / 0.01)
    write_sound(SOUNDS / "tone" / "beep", shaping.to_pcm(0.1 * fade * np.sin(2 * np.pi * 880 * at), 0.05))


PACKET = 2 * 160
"""Bytes of PCM in one RTP packet of 20 ms. A PBX plays whole packets: a sound that ends within one shifts or
clips what is played after it, so every sound is filled up with silence."""


def write_sound(path: Path, pcm: bytes) -> None:
    """One sound in the three forms that a PBX plays at 8 kHz without transcoding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm += bytes(-len(pcm) % PACKET)
    write_wav(path.with_suffix(".wav"), pcm)
    path.with_suffix(".ulaw").write_bytes(encode_ulaw(pcm))
    path.with_suffix(".alaw").write_bytes(encode_alaw(pcm))


def language_toml(script: Script) -> str:
    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML basic string

    def table(name: str, lines: dict[str, Line]) -> list[str]:
        return ["", f"[{name}]", *(f"{text(key)} = {text(line.sound)}" for key, line in lines.items())]

    head = [
        f"# Written by tools/render_voices.py from tools/voices/{script.tag}.toml.",
        f"tag = {text(script.tag)}",
        f"name = {text(script.name)}",
        f"voice = {text(script.voice)}",
        f"licence = {text(LICENCE)}",
        f"digit_gap_ms = {script.digit_gap_ms}  # silence at the end of each digit and character",
    ]
    characters = script.characters | script.digits
    tables = [
        *table("digits", script.digits),
        *table("characters", characters),
        *table("numbers", script.numbers),
        *table("phrases", script.phrases),
    ]
    return "\n".join([*head, *tables, ""])


if __name__ == "__main__":
    main()
