"""What the callee heard on the virtual PBX, read back from the sound itself: every digit, in order, twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator.prompts import packaged_root
from orchestrator.testing import VirtualPbxThread, settings_with
from tests.audio_decode import decode_digits, digit_sounds
from tests.real.backends import Backend
from tests.real.worker import worker_on

CODES = 6
SPEED = 20.0


@pytest.mark.parametrize("face", ["ari", "esl"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_callee_hears_each_digit_of_the_code_in_order_and_twice(
    tmp_path: Path, face: str, language: str
) -> None:
    folder = packaged_root() / language[:2]
    dice = random.Random(language)
    codes = {
        f"+1202555{100 + n:04d}": "".join(dice.choices("0123456789", k=dice.randint(4, 10)))
        for n in range(CODES)
    }
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    with VirtualPbxThread(settings_with(folders=(sounds,), speed=SPEED)) as pbx:
        url = pbx.esl_url if face == "esl" else pbx.ari_url
        dial = "sofia/gateway/lab/{number}" if face == "esl" else "PJSIP/{number}@lab"
        backend = Backend(f"virtual-{face}", url, "orchestrator", "virtual", dial, sounds, virtual=pbx)
        with worker_on(backend, tmp_path, caller_ids=list(codes)) as house:
            jobs = [
                {"to": "+12025550108", "from": caller, "code": code, "language": language}
                for caller, code in codes.items()
            ]
            house.wait_ended(house.submit(jobs))
        heard = {
            f"+{call.caller.removeprefix('+')}": pbx.heard(call.id)
            for call in pbx.do(lambda virtual: list(virtual.switch.ended.values()))
        }
    spoken = {path.stem: path for path in (folder / "phrases").glob("*.wav")}
    digits = {
        caller: "".join(found.digit for found in decode_digits(pcm, digit_sounds(folder), phrases=spoken))
        for caller, pcm in heard.items()
    }
    assert digits == {caller: code * 2 for caller, code in codes.items()}
