"""Kokoro-82M: phonemes to speech, and how long each phoneme lasts in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

Samples = NDArray[np.float64]

SAMPLE_RATE = 24000
_SAMPLES_PER_UNIT = 600  # the model counts durations in units of 25 ms

# The model's phoneme ids; only those that the scripts of this folder use need to be here.
_IDS = {
    **dict(zip(";:,.!?—…\"()“” ", [*range(1, 7), *range(9, 17)], strict=True)),
    **dict(zip("AIOQSTWYᵊ", [24, 25, 31, 33, 35, 36, 39, 41, 42], strict=True)),
    **dict(zip("abcdef", range(43, 49), strict=True)),
    **dict(zip("hijklmnopqrstuvwxyzɑɐɒæ", range(50, 73), strict=True)),
    **dict(zip("βɔɕçɖðʤə", [75, 76, 77, 78, 80, 81, 82, 83], strict=True)),
    **dict(zip("ɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴø", [85, 86, 87, 90, 92, 99, 101, 102, 103, *range(110, 117)], strict=True)),
    **dict(zip("ɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔ", [118, 119, 120, 123, 125, 126, 128, 129, 130, 131, 132, 133, 135,
                                          136, 138, 139, 140, 142, 143, 147, 148], strict=True)),
    **dict(zip("ˈˌːʰʲ↓→↗↘ᵻ", [156, 157, 158, 162, 164, 169, 171, 172, 173, 177], strict=True)),
    **dict(zip("ʣʥʦʨᵝꭧ", range(18, 24), strict=True)),
}  # fmt: skip

_DURATIONS = "/encoder/Gather_output_0"  # the node of the graph that holds the durations


@dataclass(frozen=True)
class Speech:
    """Samples at 24 kHz, and the sample at which each phoneme starts (one more than phonemes)."""

    samples: Samples
    starts: tuple[int, ...]


class Kokoro:
    """A loaded model. One thread and no random numbers: the same phonemes give the same samples."""

    def __init__(self, model_path: Path) -> None:
        model = onnx.load(model_path)
        # The published model gives the sound alone; let it give the durations, and stretch them, too.
        at = next(i for i, node in enumerate(model.graph.node) if _DURATIONS in node.output)
        for node in model.graph.node:
            node.input[:] = ["stretched" if name == _DURATIONS else name for name in node.input]
        model.graph.node.insert(at + 1, onnx.helper.make_node("Add", [_DURATIONS, "stretch"], ["stretched"]))
        whole = onnx.TensorProto.INT64
        model.graph.input.append(onnx.helper.make_tensor_value_info("stretch", whole, ["sequence_length"]))
        model.graph.output.append(onnx.helper.make_tensor_value_info("stretched", whole, ["sequence_length"]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def speak(
        self, phonemes: str, voice: bytes, speed: float, style: int | None, stretch: dict[int, int]
    ) -> Speech:
        """Speak `phonemes`.

        `style` picks the row of the voice, which is meant to be the number of phonemes; another row
        speaks a short text as calmly as one of that length. `stretch` adds units of 25 ms to phonemes.
        """
        ids = [0, *(_IDS[phoneme] for phoneme in phonemes), 0]
        rows = np.frombuffer(voice, dtype="<f4").reshape(-1, 1, 256)
        more = np.zeros(len(ids), dtype=np.int64)
        for position, units in stretch.items():
            more[position + 1] = units
        audio, durations = self._session.run(
            ["audio", "stretched"],
            {
                "tokens": np.array([ids], dtype=np.int64),
                "style": rows[len(phonemes) if style is None else style],
                "speed": np.array([speed], dtype=np.float32),
                "stretch": more,
            },
        )
        starts = np.cumsum(durations) * _SAMPLES_PER_UNIT
        return Speech(audio.astype(np.float64), tuple(int(start) for start in starts[:-1]))
