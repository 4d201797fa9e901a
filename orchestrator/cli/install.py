"""Copies the library's sounds into a folder, each whole or not at all, and only what has changed."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from orchestrator.audio import g711
from orchestrator.audio.wav import read_wav
from orchestrator.prompts import Library, Sound


class Installed(msgspec.Struct, frozen=True):
    """How many files were written, and how many were as they should be."""

    written: int
    unchanged: int


def install_sounds(library: Library, folder: Path, formats: Sequence[str]) -> Installed:
    """Bring `folder/<id>.<format>` up to date for every sound.

    Raises `OSError`, `WavError`.
    """
    written = unchanged = 0
    for sound in library.sounds.values():
        for extension in formats:
            target = folder / f"{sound.id}.{extension}"
            content = _content(sound, extension)
            if _holds(target, content):
                unchanged += 1
            else:
                write_whole(target, content)
                written += 1
    return Installed(written, unchanged)


def _content(sound: Sound, extension: str) -> bytes:
    if extension == "wav":
        return sound.wav.read_bytes()
    if extension in sound.encodings:
        return sound.wav.with_suffix(f".{extension}").read_bytes()
    pcm = read_wav(sound.wav)
    return g711.encode_ulaw(pcm) if extension == "ulaw" else g711.encode_alaw(pcm)


def _holds(target: Path, content: bytes) -> bool:
    try:
        return target.stat().st_size == len(content) and target.read_bytes() == content
    except FileNotFoundError:
        return False


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that anybody may read. Who reads at this moment gets the old one or the new one, never a
    part. Raises `OSError`."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        part.write_bytes(content)
        part.chmod(0o644)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
