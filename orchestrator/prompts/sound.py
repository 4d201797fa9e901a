"""What one would hear: playlists as one WAV, 8000 Hz, mono, 16 bits. For an operator's ear only."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.audio import wav
from orchestrator.prompts.errors import LibraryError
from orchestrator.prompts.library import Library
from orchestrator.prompts.playlist import Playlist
from orchestrator.prompts.tempo import SENTENCE


def pcm(
    library: Library, playlists: Sequence[Playlist], elsewhere: Mapping[str, Path] | None = None
) -> bytes:
    """Return the samples (16-bit little-endian) of the playlists, with a short pause between two of them.

    `elsewhere`: the folders of sounds that are not in the library, by the first part of their ids:
    `speech/4f0c` of a speech engine is `4f0c.wav` in the folder of `speech`.
    """
    played: dict[str, bytes] = {}
    pause = bytes(2 * wav.SAMPLE_RATE * SENTENCE // 1000)
    parts: list[bytes] = []
    for playlist in playlists:
        if parts:
            parts.append(pause)
        for item in playlist:
            if item.sound not in played:
                played[item.sound] = _samples(library, item.sound, elsewhere or {})
            parts.append(played[item.sound])
    return b"".join(parts)


def write_wav(
    library: Library,
    playlists: Sequence[Playlist],
    path: Path,
    elsewhere: Mapping[str, Path] | None = None,
) -> None:
    """Write what one would hear to `path`, readable by its owner only, since the code is in it.

    `elsewhere` is as in `pcm`. Raises `LibraryError` for a sound that has gone, `WavError` when the file
    cannot be written.
    """
    samples = pcm(library, playlists, elsewhere)
    # Takes the file for ourselves before anything is in it. What goes wrong here, write_wav says better.
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        pass
    else:
        path.chmod(0o600)
    wav.write_wav(path, samples)


def _samples(library: Library, sound: str, elsewhere: Mapping[str, Path]) -> bytes:
    found = library.sounds.get(sound)
    first, _, name = sound.partition("/")
    path = found.wav if found else elsewhere[first] / f"{name}.wav" if first in elsewhere else None
    if path is None:
        # Not by name: the name may be that of a digit.
        raise LibraryError("a sound of the playlist is not in the library", "prepare the prompt again")
    try:
        return wav.read_wav(path)
    except wav.WavError as error:
        reason = str(error)
    raise LibraryError(reason, "or install the package again")
