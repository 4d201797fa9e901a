"""A WAV file whose writer was killed: the lengths in its header are as they were when it began.

Asterisk and FreeSWITCH both fill them in when they close the file; here they are put right from the file's
own length. Source of the layout: Multimedia Programming Interface and Data Specifications 1.0, RIFF.
"""

import struct
from typing import Final

_HEAD: Final = 12
_CHUNK: Final = 8


def whole(data: bytes) -> bytes:
    """A WAV file with the lengths that it really has; empty when it is none, or has no samples' chunk."""
    if len(data) < _HEAD or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return b""
    at = _HEAD
    while at + _CHUNK <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        there = len(data) - at - _CHUNK
        if data[at : at + 4] == b"data":
            # Zero, or the highest number, until the file is closed; and one that was cut off says too much.
            if length == 0 or length > there:
                there -= there % 2
                return _with_lengths(data[: at + _CHUNK + there], at + 4, there)
            if struct.unpack_from("<I", data, 4) != (len(data) - _CHUNK,):
                return _with_lengths(data, at + 4, length)
            return data
        at += _CHUNK + length + length % 2
    return b""


def _with_lengths(data: bytes, at: int, samples: int) -> bytes:
    mended = bytearray(data)
    struct.pack_into("<I", mended, 4, len(data) - _CHUNK)
    struct.pack_into("<I", mended, at, samples)
    return bytes(mended)
