"""WAV files of strangers: read exactly, or refused with the reason."""

from __future__ import annotations

import struct

import pytest

from orchestrator.audio.g711 import decode_alaw, decode_ulaw
from orchestrator.audio.riff import RiffError, parse_wave

GUID = bytes.fromhex("000000001000800000aa00389b71")
PCM = bytes(range(200)) * 2


def wav(
    data: bytes = PCM,
    tag: int = 1,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    extra: bytes = b"",
    before: bytes = b"",
    size: int | None = None,
) -> bytes:
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits) + extra
    body = b"WAVE" + before + b"fmt " + len(form).to_bytes(4, "little") + form
    body += b"data" + (len(data) if size is None else size).to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def extensible(tag: int, bits: int, valid: int | None = None, guid: bytes = GUID) -> bytes:
    extra = struct.pack("<HHI", 22, bits if valid is None else valid, 4) + tag.to_bytes(2, "little") + guid
    return wav(tag=0xFFFE, bits=bits, extra=extra)


def test_pcm_alaw_and_ulaw_come_as_they_are_and_as_pcm() -> None:
    assert parse_wave(wav(rate=16000)) == ("pcm", 16000, PCM)
    assert parse_wave(wav(rate=16000)).pcm == PCM
    assert parse_wave(wav(tag=6, bits=8)).pcm == decode_alaw(PCM)
    assert parse_wave(wav(tag=7, bits=8, extra=b"\0\0")).pcm == decode_ulaw(PCM)


def test_the_extensible_form_of_the_same_is_read() -> None:
    assert parse_wave(extensible(1, 16)) == parse_wave(wav())
    assert parse_wave(extensible(6, 8)).encoding == "alaw"


def test_chunks_that_tell_of_other_things_are_passed_over() -> None:
    odd = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    assert parse_wave(wav(before=odd) + b"id3 \4\0\0\0more").data == PCM


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"RIFF\0\0\0\0WAVE", "no format"),
        (b"ID3\4" + bytes(100), "but an MP3 file"),
        (b"\xff\xfb\x90\x00" + bytes(100), "but an MP3 file"),
        (b"OggS" + bytes(100), "but an Ogg file"),
        (bytes(4) + b"ftypM4A " + bytes(50), "but an MP4 file"),
        (b"RIFX" + wav()[4:], "big-endian"),
        (wav(tag=0x55, bits=0), "coded as MP3"),
        (wav(tag=3, bits=32), "floating point"),
        (wav(tag=0x1234), "format 0x1234"),
        (wav(channels=2), "2 channels, not 1"),
        (wav(bits=24), "24 bits a sample, not 16"),
        (wav(tag=6, bits=16), "16 bits a sample, not 8"),
        (extensible(3, 32), "floating point"),
        (extensible(1, 16, valid=12), "12 of its 16 bits"),
        (extensible(1, 16, guid=bytes(14)), "an extension"),
        (wav(data=b""), "no sound"),
        (wav(data=PCM + b"x"), "within a sample"),
        (wav(size=len(PCM) + 2), f"{len(PCM)} of {len(PCM) + 2} bytes"),
        (wav()[:30], "cut short"),
        (wav()[:40], "no samples follow"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "before their format"),
        (b"RIFF\0\0\0\0WAVEfmt \4\0\0\0abcddata\0\0\0\0", "format is cut short"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content: bytes, said: str) -> None:
    with pytest.raises(RiffError, match=said):
        parse_wave(content)


def test_a_stream_whose_writer_could_not_fill_in_the_length_goes_to_its_end() -> None:
    content = wav(size=0x7FFFF000)
    with pytest.raises(RiffError, match="cut short"):
        parse_wave(content)
    assert parse_wave(content, streamed=True).data == PCM


def test_no_cut_of_a_file_is_read_as_a_whole_one() -> None:
    content = wav(before=b"LIST\4\0\0\0abcd")
    for end in range(len(content)):
        with pytest.raises(RiffError):
            parse_wave(content[:end])
