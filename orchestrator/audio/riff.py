"""Any WAV file of speech, read strictly: what it holds, or why it is not one.

Layout: RIFF, "Multimedia Programming Interface and Data Specifications 1.0" (1991); the format tags and
WAVE_FORMAT_EXTENSIBLE: mmreg.h, RFC 2361.
"""

import struct
from typing import Final, NamedTuple

from orchestrator.audio.g711 import decode_alaw, decode_ulaw

PCM: Final = 0x0001
ALAW: Final = 0x0006
ULAW: Final = 0x0007
EXTENSIBLE: Final = 0xFFFE

_NAMES: Final = {
    0x0002: "ADPCM",
    0x0003: "floating point",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 06.10",
    0x0050: "MPEG audio",
    0x0055: "MP3",
    0x00FF: "AAC",
}
# The last 14 bytes of the GUID of an extensible format; the first two are the plain tag.
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_DISGUISED: Final = (
    (b"ID3", "an MP3 file"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"FORM", "an AIFF file"),
    (b"#!AMR", "an AMR file"),
    (b".snd", "an AU file"),
    (b"RIFX", "a big-endian RIFF file"),
    (b"RF64", "an RF64 file"),
)


class RiffError(Exception):
    """It is no WAV file that is read here. The message is the reason, such as `it has 2 channels, not 1`."""


class Wave(NamedTuple):
    """What a WAV file holds. `encoding`: `pcm`, `alaw` or `ulaw`; `data`: the samples as they stand there."""

    encoding: str
    rate: int
    data: bytes

    @property
    def pcm(self) -> bytes:
        """The samples as signed 16-bit little-endian PCM."""
        if self.encoding == "pcm":
            return self.data
        return decode_alaw(self.data) if self.encoding == "alaw" else decode_ulaw(self.data)


def parse_wave(content: bytes, *, streamed: bool = False) -> Wave:
    """Read a mono WAV file of 16-bit PCM, A-law or µ-law at any rate.

    `streamed`: the writer could not go back to fill in the lengths, so the samples go on to the end.
    Raises `RiffError`.
    """
    if not content:
        raise RiffError("it is empty")
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise RiffError(f"it is no WAV file{_disguise(content)}")
    form: Wave | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            if at + size > len(content):
                raise RiffError("it is cut short")
            form = _format(content[at : at + size])
        elif name == b"data":
            if form is None:
                raise RiffError("its samples come before their format")
            return _samples(form, content[at : at + size], 0 if streamed else at + size - len(content))
        at += size + size % 2
    raise RiffError("it is cut short: no samples follow" if form else "it has no format")


def _disguise(content: bytes) -> str:
    for mark, name in _DISGUISED:
        if content.startswith(mark):
            return f", but {name}"
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 in (0xE2, 0xE4, 0xE6):
        return ", but an MP3 file"
    return ", but an MP4 file" if content[4:8] == b"ftyp" else ""


def _format(chunk: bytes) -> Wave:
    if len(chunk) < 16:
        raise RiffError("its format is cut short")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            raise RiffError("its format is an extension that is not read here")
        tag = int.from_bytes(chunk[24:26], "little")
        valid = int.from_bytes(chunk[18:20], "little")
        if valid not in (0, bits):
            raise RiffError(f"{valid} of its {bits} bits a sample are used")
    if tag not in (PCM, ALAW, ULAW):
        name = _NAMES.get(tag, f"format 0x{tag:04x}")
        raise RiffError(f"it is coded as {name}, not as PCM, A-law or µ-law")
    if channels != 1:
        raise RiffError(f"it has {channels} channels, not 1")
    wanted = 16 if tag == PCM else 8
    if bits != wanted or align != wanted // 8:
        raise RiffError(f"it has {bits} bits a sample, not {wanted}")
    return Wave({PCM: "pcm", ALAW: "alaw", ULAW: "ulaw"}[tag], rate, b"")


def _samples(form: Wave, data: bytes, missing: int) -> Wave:
    width = 2 if form.encoding == "pcm" else 1
    if missing > 0:
        raise RiffError(f"it is cut short: {len(data)} of {len(data) + missing} bytes of samples are there")
    if len(data) % width:
        raise RiffError("it ends within a sample")
    if not data:
        raise RiffError("it holds no sound")
    return form._replace(data=data)
