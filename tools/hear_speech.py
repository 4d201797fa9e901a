"""Would a callee understand what the speech engines say? A recogniser writes it down.

Speaks ten sentences of each language with each engine that is here, as a worker would (µ-law, 8000 Hz),
and counts the words, in Chinese the characters, that Whisper base writes down otherwise. Needs
`pip install -e . faster-whisper`; the recogniser's model is downloaded into the folder given by --cache.
"""

import argparse
import hmac
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from faster_whisper import WhisperModel  # noqa: E402

from orchestrator.audio.g711 import decode_ulaw  # noqa: E402
from orchestrator.prompts.engine import Utterance  # noqa: E402
from orchestrator.prompts.errors import EngineMissing  # noqa: E402
from orchestrator.speech import open_engine  # noqa: E402
from orchestrator.speech.settings import Kokoro, Piper, Speech, Spoken  # noqa: E402
from tools.voices import inputs  # noqa: E402

SENTENCES = {
    "en": (
        "Your parcel arrives tomorrow between nine and eleven.",
        "The office is closed on Monday because of the storm.",
        "Please bring your passport to the appointment.",
        "The train to London leaves from platform four.",
        "Your car is ready and can be collected today.",
        "There is a water leak in the basement of your building.",
        "The meeting has been moved to the large room upstairs.",
        "Your doctor has changed the time of your visit.",
        "All flights this evening have been cancelled.",
        "The library book you ordered is waiting for you.",
    ),
    "zh": (
        "您的包裹明天上午到达。",
        "今天晚上的航班已经取消。",
        "请带上您的护照来办理手续。",
        "会议已经改到楼上的大房间。",
        "您的汽车已经修好了。",
        "办公室星期一不开门。",
        "医生更改了您的就诊时间。",
        "您预订的图书已经到了。",
        "火车从四号站台出发。",
        "地下室正在漏水,请马上回家。",
    ),
}
LINE_NOISE_DB = -60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default_cache = Path(tempfile.gettempdir()) / "orchestrator-voices"
    parser.add_argument("--cache", type=Path, default=default_cache, help="default: %(default)s")
    parser.add_argument("--piper", type=Path, metavar="ONNX", help="a Piper voice of English")
    parser.add_argument("--kokoro", type=Path, nargs=2, metavar=("MODEL", "VOICES"))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    recogniser = WhisperModel(
        str(inputs.whisper_model(options.cache)), device="cpu", compute_type="int8", cpu_threads=1
    )
    for engine in ("espeak-ng", "piper", "kokoro"):
        for language in SENTENCES:
            settings = Speech(
                languages={language: Spoken(engine=engine)},
                piper=Piper(voices={"voice": str(options.piper.resolve())} if options.piper else {}),
                kokoro=Kokoro(model=str(options.kokoro[0].resolve()), voices=str(options.kokoro[1].resolve()))
                if options.kokoro
                else Kokoro(),
                timeout=120,
            )
            with tempfile.TemporaryDirectory() as folder:
                hear(settings, engine, language, Path(folder), recogniser)


def hear(settings: Speech, engine: str, language: str, folder: Path, recogniser: WhisperModel) -> None:
    """Print what was written down wrongly, and the sums."""
    speaker = open_engine(
        settings, folder=folder / "speech", formats=("ulaw", "wav"), fingerprint=fingerprint, root=Path("/")
    )
    assert speaker is not None  # noqa: S101
    wrong = whole = 0
    spent = 0.0
    for sentence in SENTENCES[language]:
        begun = time.perf_counter()
        try:
            item = speaker.speak(Utterance(text=sentence, language=language))
        except EngineMissing as error:
            print(f"{engine} {language}: not spoken: {error}")
            return
        spent += time.perf_counter() - begun
        segments, _ = recogniser.transcribe(
            line(folder / f"{item.sound}.ulaw"),
            language=language,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            # Else it likes to write Chinese in the traditional characters.
            initial_prompt="以下是普通话的句子。" if language == "zh" else None,
        )
        heard = "".join(segment.text for segment in segments)
        errors = distance(words(sentence, language), words(heard, language))
        wrong += errors
        whole += len(words(sentence, language))
        if errors:
            print(f"  {sentence}\n  {heard.strip()}")
    count = len(SENTENCES[language])
    print(f"{engine} {language}: {wrong} of {whole} wrong; {spent / count:.2f} s a sentence", flush=True)


def fingerprint(content: bytes) -> bytes:
    return hmac.digest(bytes(32), content, "sha256")


def line(ulaw: Path) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """What a telephone plays, with a line's noise, at the 16 kHz that the recogniser takes."""
    idle = b"\xff" * 2400
    pcm = np.frombuffer(decode_ulaw(idle + ulaw.read_bytes() + idle), dtype="<i2") / 32768
    pcm = pcm + np.random.default_rng(1).normal(0, 10 ** (LINE_NOISE_DB / 20), len(pcm))
    return (2 * np.fft.irfft(np.fft.rfft(pcm), 2 * len(pcm))).astype(np.float32)


def words(text: str, language: str) -> list[str]:
    """In lower case, without signs; in Chinese each character."""
    spoken = "".join(char if unicodedata.category(char)[0] in "LN" else " " for char in text.lower())
    numbers = {"4": "four", "9": "nine", "11": "eleven"}
    if language == "zh":
        return list(spoken.replace(" ", "").replace("4", "四").replace("1", "一"))
    return [numbers.get(word, word) for word in spoken.split()]


def distance(wanted: list[str], heard: list[str]) -> int:
    """How many words are to be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for first, word in enumerate(wanted, 1):
        before, row[0] = row[0], first
        for second, other in enumerate(heard, 1):
            before, row[second] = (
                row[second],
                min(row[second] + 1, row[second - 1] + 1, before + (word != other)),
            )
    return row[-1]


if __name__ == "__main__":
    main()
