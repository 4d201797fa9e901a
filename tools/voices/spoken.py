"""Would a person understand numbers, dates, times and amounts? How many of a table a recogniser writes down.

`cases/numbers.toml` holds the table: what is said, and for each language a pattern of what means the same. A
recogniser writes numerals in many ways, so the transcript is compared without blanks and punctuation.
"""

import re
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel

from orchestrator.audio.g711 import decode_ulaw
from orchestrator.prompts import load_library, prepare_item
from tools.voices.kokoro import Samples
from tools.voices.recognise import as_heard

CASES = Path(__file__).parent / "cases" / "numbers.toml"
_LEADS = {"en": ("Your code is", r".*?codeis"), "zh": ("请输入", r".*?[入若弱]")}
_EXAMPLES = {"en": None, "zh": "以下是普通话的句子。"}  # keeps it to simplified characters
_TEMPLATE = (
    '<speak>{{ lead }}<break time="300ms"/><say-as interpret-as="{{ kind }}"'
    '{% if form %} format="{{ form }}"{% endif %}>{{ text }}</say-as></speak>'
)


def read_aloud(sounds: Path, language: str, model_folder: Path) -> int:
    """Print and return how many cases of the table the recogniser understands."""
    model = WhisperModel(str(model_folder), device="cpu", compute_type="int8", cpu_threads=1)
    lead, pattern = _LEADS[language]
    understood = said = 0
    for case in tomllib.loads(CASES.read_text("utf-8"))["case"]:
        if language not in case:
            continue
        segments, _ = model.transcribe(
            _played(sounds, language, lead, case),
            language=language,
            beam_size=5,
            temperature=0.0,
            initial_prompt=_EXAMPLES[language],
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        text = "".join(segment.text for segment in segments)
        squeezed = re.sub(r"[\s,，。、！？!?…\-]|\.+$|\.(?=[ap]m|m)", "", text.lower().strip())
        fits = re.fullmatch(f"{pattern}(?:{case[language]})", squeezed) is not None
        said += 1
        understood += fits
        print(f"{language} {case['kind']} {case['text']}: {'ok' if fits else text.strip()[:60]}", flush=True)
    print(f"{language}: {understood} of {said} understood")
    return understood


def _played(sounds: Path, language: str, lead: str, case: dict[str, str]) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "case.ssml").write_text(_TEMPLATE, "utf-8")
        library = load_library([sounds], [Path(folder)])
    item = prepare_item(
        library,
        language,
        template="case",
        variables={"lead": lead, "kind": case["kind"], "form": case.get("format", ""), "text": case["text"]},
        default_language=language,
    )
    parts = [library.sounds[sound.sound].wav.with_suffix(".ulaw").read_bytes() for sound in item.playlist]
    return as_heard(np.frombuffer(decode_ulaw(b"".join(parts)), dtype="<i2") / 32768)
