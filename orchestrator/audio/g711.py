"""G.711 µ-law and A-law to and from 16-bit PCM (ITU-T G.711, tables 1 and 2).

PCM is signed 16-bit little-endian, G.711 one byte a sample. Both laws cut each half of the range
into 8 segments of 16 equal steps, every segment twice as wide as the one before (A-law's first two
are alike). So the encoding table is 128 runs of one code each, a decoded value is the middle of its
run, and coding is a look-up.
"""

import sys
from array import array

_POSITIVE = 0x80  # the sign bit as G.711 has it: set for positive values
_MULAW_FLIP = 0x7F  # µ-law sends the magnitude inverted
_ALAW_FLIP = 0x55  # A-law inverts every other bit
_MULAW_BIAS = 4  # µ-law's zero lies in the middle of the first run, not at its start


def _magnitudes(first_step: int) -> bytes:
    """The magnitude code of 0, 1, 2 …: 128 runs, `first_step` wide in the first segment."""
    return b"".join(bytes([code]) * max(8 << (code >> 4), first_step) for code in range(128))


def _encoder(positive: bytes, negative: bytes, flip: int) -> bytes:
    """The table from a sample, read as unsigned 16 bits, to its code."""
    codes = positive + negative[::-1]  # -32768 comes right after 32767, -1 last
    return bytes(code ^ flip | (_POSITIVE if sample < 32768 else 0) for sample, code in enumerate(codes))


def _decoder(codes: bytes, offset: int, flip: int) -> tuple[bytes, bytes]:
    """The tables from a code to the low and the high byte of its sample."""
    samples = array("i", bytes(4 * 256))
    for code in range(128):
        middle = (codes.index(code) + codes.rindex(code) + 1) // 2 - offset
        samples[code ^ flip | _POSITIVE] = middle
        samples[code ^ flip] = -middle
    return bytes(s & 0xFF for s in samples), bytes(s >> 8 & 0xFF for s in samples)


_MULAW_RUNS = _magnitudes(first_step=8)
_MULAW_CODES = _MULAW_RUNS[_MULAW_BIAS:].ljust(32769, b"\x7f")  # louder than the last run is clipped
_MULAW_ENCODER = _encoder(_MULAW_CODES[:32768], _MULAW_CODES[1:], _MULAW_FLIP)
_MULAW_DECODER = _decoder(_MULAW_RUNS, _MULAW_BIAS, _MULAW_FLIP)

_ALAW_CODES = _magnitudes(first_step=16)
_ALAW_ENCODER = _encoder(_ALAW_CODES, _ALAW_CODES, _ALAW_FLIP)
_ALAW_DECODER = _decoder(_ALAW_CODES, 0, _ALAW_FLIP)


def _encode(pcm: bytes, table: bytes) -> bytes:
    samples = array("H")
    samples.frombytes(pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(table.__getitem__, samples))


def _decode(codes: bytes, table: tuple[bytes, bytes]) -> bytes:
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(table[0])
    pcm[1::2] = codes.translate(table[1])
    return bytes(pcm)


def encode_ulaw(pcm: bytes) -> bytes:
    """µ-law codes of 16-bit PCM. ValueError when `pcm` ends within a sample."""
    return _encode(pcm, _MULAW_ENCODER)


def decode_ulaw(codes: bytes) -> bytes:
    """16-bit PCM, -32124 to 32124, of µ-law codes."""
    return _decode(codes, _MULAW_DECODER)


def encode_alaw(pcm: bytes) -> bytes:
    """A-law codes of 16-bit PCM. ValueError when `pcm` ends within a sample."""
    return _encode(pcm, _ALAW_ENCODER)


def decode_alaw(codes: bytes) -> bytes:
    """16-bit PCM, -32256 to 32256 and never 0, of A-law codes."""
    return _decode(codes, _ALAW_DECODER)
