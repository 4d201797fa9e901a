"""What does a recogniser hear in a recorded call? `python tools/hear_call.py --language en FILE.wav …`

Prints what Whisper base writes down of each WAV file (8000 Hz, 16 bits, mono). Needs
`pip install -e . faster-whisper`; the model is downloaded into the folder given by --cache.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from faster_whisper import WhisperModel  # noqa: E402

from orchestrator.audio.wav import read_wav  # noqa: E402
from tools.voices import inputs  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--language", default="en")
    default_cache = Path(tempfile.gettempdir()) / "orchestrator-voices"
    parser.add_argument("--cache", type=Path, default=default_cache, help="default: %(default)s")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    folder = inputs.whisper_model(options.cache)
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    for file in options.files:
        heard = np.frombuffer(read_wav(file), dtype="<i2").astype(np.float32) / 32768
        # The recogniser wants 16000 Hz; a line has nothing above 4000 Hz that could be missed.
        doubled = np.interp(np.arange(2 * len(heard)) / 2, np.arange(len(heard)), heard).astype(np.float32)
        segments, _ = model.transcribe(
            doubled,
            language=options.language.partition("-")[0],
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        print(f"{file.name}: {''.join(segment.text for segment in segments).strip()}", flush=True)


if __name__ == "__main__":
    main()
