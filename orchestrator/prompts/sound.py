"""What one would hear: playlists as one WAV, 8000 Hz, mono, 16 bits. For an operator's ear only."""

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.audio import wav
from orchestrator.prompts.errors import LibraryError
from orchestrator.prompts.library import Library
from orchestrator.prompts.playlist import Playlist
from orchestrator.prompts.tempo import SENTENCE


def pcm(library: Library, playlists: Sequence[Playlist]) -> bytes:
    """Return the samples (16-bit little-endian) of the playlists, with a short pause between two of them."""
    played: dict[str, bytes] = {}
    pause = bytes(2 * wav.SAMPLE_RATE * SENTENCE // 1000)
    parts: list[bytes] = []
    for playlist in playlists:
        if parts:
            parts.append(pause)
        for item in playlist:
            if item.sound not in played:
                played[item.sound] = _samples(library, item.sound)
            parts.append(played[item.sound])
    return b"".join(parts)


def write_wav(library: Library, playlists: Sequence[Playlist], path: Path) -> None:
    """Write what one would hear to `path`, readable by its owner only, since the code is in it.

    Raises `LibraryError` for a sound that has gone, `WavError` when the file cannot be written.
    """
    samples = pcm(library, playlists)
    # Takes the file for ourselves before anything is in it. What goes wrong here, write_wav says better.
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        pass
    else:
        path.chmod(0o600)
    wav.write_wav(path, samples)


def _samples(library: Library, sound: str) -> bytes:
    found = library.sounds.get(sound)
    if found is None:
        # Not by name: the name may be that of a digit.
        raise LibraryError("a sound of the playlist is not in the library", "prepare the prompt again")
    try:
        return wav.read_wav(found.wav)
    except wav.WavError as error:
        reason = str(error)
    raise LibraryError(reason, "or install the package again")
