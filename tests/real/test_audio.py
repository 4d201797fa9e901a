"""What the callee heard, read back from the sound itself: every digit, in order, each time it was played."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from orchestrator.audio.g711 import decode_ulaw
from orchestrator.prompts import packaged_root
from tests.audio_decode import decode_digits, digit_sounds
from tests.real.lab import LabInfo, is_whole
from tests.real.sip_caller import SAMPLES, send_packets
from tests.real.worker import worker_on

pytestmark = [pytest.mark.real, pytest.mark.alone]

NUMBER = "+12025550100"
AT_ONCE_NUMBER = "+12025550108"
CODES = 20
AT_ONCE = 7


def codes_of(seed: int) -> list[str]:
    """Random codes of four to ten digits; every second one repeats a digit in a row."""
    dice = random.Random(seed)
    codes = ["".join(dice.choices("0123456789", k=dice.randint(4, 10))) for _ in range(CODES)]
    return [code[:2] + code[1] + code[3:] if n % 2 else code for n, code in enumerate(codes)]


def phrases(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in (folder / "phrases").glob("*.wav")}


def whole_recordings(
    lab: LabInfo, callers: Collection[str], number: str = NUMBER, seconds: float = 10
) -> dict[str, bytes]:
    """What came in at the callee, packet by packet in mu-law, by caller, once all are whole."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = {}
        for caller in callers:
            files = list(lab.recordings.glob(f"{number[1:]}-{caller[1:]}-*.wav"))
            # The .ulaw is finished before the .wav, and only a .wav tells how long it is to be.
            if len(files) == 1 and is_whole(files[0]):
                found[caller] = files[0].with_suffix(".ulaw").read_bytes()
        if len(found) == len(callers):
            return found
        time.sleep(0.02)
    there = {file.name: is_whole(file) for file in sorted(lab.recordings.glob(f"{number[1:]}-*.wav"))}
    raise AssertionError(f"no whole recording of {set(callers) - set(found)}; whole are {there}")


@pytest.mark.parametrize(("language", "prefix"), [("en", "+1202555"), ("zh-CN", "+1203555")])
def test_the_callee_hears_each_digit_of_the_code_in_order_and_twice(
    lab: LabInfo, tmp_path: Path, language: str, prefix: str
) -> None:
    folder = packaged_root() / language[:2]
    codes = codes_of(seed=len(language))
    # The caller ID tells one recording from another; 0100 to 0199 are fictional.
    callers = {f"{prefix}{100 + n:04d}": code for n, code in enumerate(codes)}
    with worker_on(lab, tmp_path, caller_ids=list(callers)) as house:
        jobs = [
            {"to": NUMBER, "from": caller, "code": code, "language": language}
            for caller, code in callers.items()
        ]
        for first in range(0, CODES, AT_ONCE):
            house.wait_ended(house.submit(jobs[first : first + AT_ONCE]), seconds=120)
        ended = [event["data"] for event in house.receiver.events if event["type"] == "job.ended"]
        assert [data for data in ended if data["outcome"] != "completed"] == []
        recordings = whole_recordings(lab, callers)
    templates, spoken = digit_sounds(folder), phrases(folder)
    heard = {
        caller: "".join(
            found.digit for found in decode_digits(decode_ulaw(recorded), templates, phrases=spoken)
        )
        for caller, recorded in recordings.items()
    }
    assert heard == {caller: code * 2 for caller, code in callers.items()}
    sounds = {digit: (folder / "digits" / f"{digit}.ulaw").read_bytes() for digit in templates}
    for caller, code in callers.items():
        at = 0
        for digit in code * 2:
            # To the byte: not even a packet of the soft end of a digit may be missing.
            at = recordings[caller].index(sounds[digit], at) + len(sounds[digit])


def test_no_packet_is_lost_where_the_rtp_sequence_number_starts_again(lab: LabInfo) -> None:
    """Asterisk loses that packet in whatever it converts, about once in 50 calls."""
    caller = "+12025550190"
    payloads = [bytes([n + 1]) * SAMPLES for n in range(40)]
    send_packets(lab, AT_ONCE_NUMBER[1:], caller, payloads, first_sequence=0x10000 - 20)
    recorded = whole_recordings(lab, [caller], AT_ONCE_NUMBER)[caller]
    assert recorded == b"".join(payloads)
