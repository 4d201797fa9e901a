"""Kokoro as a program: text on standard input, WAV on standard output. Run by the Python that has it.

    kokoro_child.py MODEL VOICES VOICE LANGUAGE RATE

Nothing is written to standard error on purpose: the package's own errors quote the text.
"""

import io
import sys
import wave
from array import array


def main() -> None:
    """Speak standard input."""
    model, voices, voice, language, rate = sys.argv[1:]
    text = sys.stdin.buffer.read().decode("utf-8")
    from kokoro_onnx import Kokoro  # type: ignore[import-not-found, unused-ignore]

    phonemes = language == "zh"
    if phonemes:
        from misaki import zh  # type: ignore[import-not-found, unused-ignore]

        text = zh.ZHG2P()(text)[0]
    engine = Kokoro(model, voices)
    samples, hertz = engine.create(
        text, voice=voice, speed=float(rate), lang="en-us" if phonemes else language, is_phonemes=phonemes
    )
    pcm = array("h", [max(-32768, min(32767, round(float(sample) * 32767))) for sample in samples])
    if sys.byteorder == "big":
        pcm.byteswap()
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hertz)
        file.writeframes(pcm.tobytes())
    sys.stdout.buffer.write(made.getvalue())


if __name__ == "__main__":
    main()
