"""Sound files of the virtual PBX: found as a switch finds them, measured without reading, read when heard."""

import re
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from orchestrator.audio.g711 import decode_alaw, decode_ulaw
from orchestrator.audio.wav import SAMPLE_RATE, WavError, read_wav

FORMATS = {".ulaw": "ulaw", ".alaw": "alaw", ".sln": "slin", ".wav": "slin"}
"""File endings, in the order in which they are looked for, and what Asterisk calls what is in them."""
_BYTES_A_SAMPLE = {".ulaw": 1, ".alaw": 1, ".sln": 2}
KNOWN_FOR = 0.5
MAX_KNOWN = 20_000
_NAME = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")


class Clip(msgspec.Struct, frozen=True, gc=False):
    """A sound in a file, or in memory, or a silence when it is in neither. `samples` at 8000 a second."""

    path: str
    samples: int
    changed: int = 0
    """The file's time of change, so that a file that is replaced is read anew."""
    pcm: bytes = b""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / SAMPLE_RATE


class Clips:
    """The sounds below `folders`, as a switch has them, and below `mounts`: folders that stand under a name.

    What was looked up is taken to stay so for `KNOWN_FOR` seconds of `clock`: calls ask for the same few
    sounds thousands of times a second.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        mounts: Mapping[str, Sequence[Path]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = tuple(folders)
        self._mounts = {name: tuple(below) for name, below in (mounts or {}).items()}
        self._clock = clock
        self._known: dict[tuple[str, str], Clip | None] = {}
        self._known_until = 0.0

    def find(self, name: str, language: str = "") -> Clip | None:
        """The sound `name` (a path below a sounds folder, with or without its ending), in `language` where
        there is one. None when there is no such sound; a name that would climb out of the folders has
        none."""
        now = self._clock()
        if now >= self._known_until or len(self._known) > MAX_KNOWN:
            self._known.clear()
            self._known_until = now + KNOWN_FOR
        key = (name, language)
        if key not in self._known:
            self._known[key] = self._look(name, language)
        return self._known[key]

    def find_file(self, path: str) -> Clip | None:
        """The sound of a full path, by what follows one of our folders or a folder named `sounds` in it."""
        for folder in self._folders:
            if path.startswith(f"{folder}/"):
                return self.find(path.removeprefix(f"{folder}/"))
        _, below, name = path.rpartition("/sounds/")
        return self.find(name) if below else None

    def listed(self) -> Iterator[tuple[str, str, str]]:
        """Every sound as (language, name, format): each folder below a sounds folder is a language."""
        for folder in self._folders:
            for parts, kind in _files(folder):
                if len(parts) > 1:
                    yield parts[0], "/".join(parts[1:]), kind
        for mount, folders in self._mounts.items():
            for folder in folders:
                for parts, kind in _files(folder):
                    yield mount, "/".join(parts), kind

    def _look(self, name: str, language: str) -> Clip | None:
        if not _NAME.fullmatch(name) or ".." in name:
            return None
        for folder in self._folders:
            for stem in (folder / language / name, folder / name) if language else (folder / name,):
                found = _clip_at(stem)
                if found is not None:
                    return found
        mount, _, below = name.partition("/")
        for folder in self._mounts.get(mount, ()) if below else ():
            found = _clip_at(folder / below)
            if found is not None:
                return found
        return None


def _files(folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    for path in sorted(folder.rglob("*")):
        kind = FORMATS.get(path.suffix)
        if kind is not None:
            yield (*path.relative_to(folder).parts[:-1], path.stem), kind


def samples_of(clip: Clip) -> bytes:
    """The clip as 16-bit little-endian PCM; silence where its file has gone or cannot be read."""
    return _read(clip.path, clip.changed) if clip.path else clip.pcm or bytes(2 * clip.samples)


def _clip_at(stem: Path) -> Clip | None:
    if stem.suffix in FORMATS:
        return _measure(stem)
    for ending in FORMATS:
        found = _measure(stem.parent / f"{stem.name}{ending}")
        if found is not None:
            return found
    return None


def _measure(path: Path) -> Clip | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    ending = path.suffix
    if ending == ".wav":
        samples = _wav_samples(str(path), status.st_mtime_ns)
        return None if samples is None else Clip(str(path), samples, status.st_mtime_ns)
    return Clip(str(path), status.st_size // _BYTES_A_SAMPLE[ending], status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _wav_samples(path: str, changed: int) -> int | None:
    try:
        with wave.open(path, "rb") as file:
            return int(file.getnframes()) if file.getframerate() == SAMPLE_RATE else None
    except (OSError, wave.Error, EOFError):
        return None


@lru_cache(maxsize=512)
def _read(path: str, changed: int) -> bytes:
    """At most 512 sounds are kept; a code's digits and phrases are a tenth of that."""
    file = Path(path)
    try:
        match file.suffix:
            case ".wav":
                return read_wav(file)
            case ".ulaw":
                return decode_ulaw(file.read_bytes())
            case ".alaw":
                return decode_alaw(file.read_bytes())
            case _:
                pcm = file.read_bytes()
                return pcm[: len(pcm) // 2 * 2]
    except (OSError, WavError):
        return b""
