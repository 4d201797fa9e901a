"""G.711 coding, checked against values printed in the standard and its own definition."""

from array import array
from collections.abc import Callable
from itertools import pairwise

import pytest

from orchestrator.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

Codec = Callable[[bytes], bytes]
EVERY_SAMPLE = array("h", range(-32768, 32768))
BOTH = pytest.mark.parametrize(
    ("encode", "decode"), [(encode_ulaw, decode_ulaw), (encode_alaw, decode_alaw)], ids=["ulaw", "alaw"]
)


def samples(pcm: bytes) -> list[int]:
    found = array("h")
    found.frombytes(pcm)
    return found.tolist()


@pytest.mark.parametrize(
    ("decode", "code", "sample"),
    [
        # G.711 tables 2a/2b (µ-law, 14 bits there) and 1a/1b (A-law, 13 bits there), scaled to 16 bits.
        (decode_ulaw, 0x80, 8031 * 4),
        (decode_ulaw, 0x00, -8031 * 4),
        (decode_ulaw, 0x8F, 4191 * 4),
        (decode_ulaw, 0xEF, 33 * 4),
        (decode_ulaw, 0xFE, 2 * 4),
        (decode_ulaw, 0xFF, 0),
        (decode_ulaw, 0x7F, 0),
        (decode_alaw, 0xAA, 4032 * 8),
        (decode_alaw, 0x2A, -4032 * 8),
        (decode_alaw, 0xD5, 1 * 8),
        (decode_alaw, 0x55, -1 * 8),
        (decode_alaw, 0x80, 344 * 16),
    ],
)
def test_a_code_decodes_to_the_value_the_standard_prints(decode: Codec, code: int, sample: int) -> None:
    assert samples(decode(bytes([code]))) == [sample]


@pytest.mark.parametrize(
    ("encode", "decode", "bias", "smallest"),
    [(encode_ulaw, decode_ulaw, 132, 4), (encode_alaw, decode_alaw, 0, 8)],
    ids=["ulaw", "alaw"],
)
def test_no_sample_is_off_by_more_than_half_a_step(
    encode: Codec, decode: Codec, bias: int, smallest: int
) -> None:
    # A segment that starts at m has 16 steps of m / 16, so half a step is at most m / 32.
    coded = samples(decode(encode(EVERY_SAMPLE.tobytes())))
    for sample, got in zip(EVERY_SAMPLE, coded, strict=True):
        assert abs(sample - got) <= max(smallest, (abs(sample) + bias) / 32)


@BOTH
def test_louder_is_never_coded_softer(encode: Codec, decode: Codec) -> None:
    coded = samples(decode(encode(EVERY_SAMPLE.tobytes())))
    assert all(first <= second for first, second in pairwise(coded))


@BOTH
def test_coding_what_was_decoded_changes_nothing(encode: Codec, decode: Codec) -> None:
    pcm = decode(bytes(range(256)))
    assert decode(encode(pcm)) == pcm


@BOTH
def test_half_a_sample_is_refused(encode: Codec, decode: Codec) -> None:
    with pytest.raises(ValueError, match="multiple"):
        encode(b"\x00\x00\x00")


def test_silence_is_the_idle_code_of_each_law() -> None:
    assert encode_ulaw(b"\x00\x00") == b"\xff"
    assert encode_alaw(b"\x00\x00") == b"\xd5"
