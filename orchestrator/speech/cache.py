"""Rendered sounds in a folder of the PBX's, each under a name that tells nothing of its text.

A sound is its WAV file and the encodings beside it; it is there when all are there and equally long. Each
file comes into its place whole, the WAV last. Several processes may use one folder: a sound that two of them
make at the same moment is made once (flock), and a process that dies lets go of its locks. No folder is made
in it: one that Asterisk may not read hides all sounds there are (`GET sounds` answers 500, seen on 22.10.1).

The folder's size is bounded. What was asked for least lately goes first, but nothing that was asked for
within `KEPT`: its job may still be waiting, or its call be on.
"""

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.audio import g711
from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH, wav_bytes

KEPT: Final = 30 * 3600.0
"""Seconds that a sound is safe since it was last asked for. A job expires within 24 hours of its acceptance,
and its last call lasts at most 4 hours more."""

_TOUCH_AFTER: Final = 600.0
_HEADER: Final = 44
_FULL_TO: Final = 0.9
_SCAN_AFTER: Final = 300.0
_LOCKS: Final = 64
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"\.[0-9a-f]{32}\.[a-z]+\.part-.*")
_STALE_PART: Final = 3600.0


class CacheUnusable(Exception):
    """The folder cannot be used. `what` and `mend` may be shown to anybody."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what = what
        self.mend = mend


class _Entry(msgspec.Struct):
    """All files of one sound."""

    size: int = 0
    used: float = 0.0


class Cache:
    """The folder `folder`, in the encodings `formats`, at most `max_bytes` big. `clock` gives the time."""

    def __init__(
        self, folder: Path, formats: Sequence[str], max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self._beside = tuple(each for each in formats if each != "wav")
        self._max = max_bytes
        self._clock = clock
        self._size: int | None = None
        self._scanned = 0.0

    def check(self) -> None:
        """See that the folder is there and can be written to. It is made, and the one above it, where the one
        above that is there: a PBX's folder of sounds. Raises `CacheUnusable`.
        """
        try:
            for folder in (self.folder.parent, self.folder):
                if not folder.is_dir():
                    folder.mkdir(mode=0o755)
                    folder.chmod(0o755)
        except OSError as error:
            raise self._unusable(error) from None
        if not os.access(self.folder, os.W_OK | os.X_OK | os.R_OK):
            raise CacheUnusable(
                f"the folder of spoken sounds {self.folder} cannot be written to",
                f"give it to this user (chown {os.getuid()} {self.folder}), or name another in speech.folder",
            )

    def find(self, name: str) -> int | None:
        """How long a sound is, in ms; None when it is not there, or not whole. It now counts as asked for."""
        wav = self.folder / f"{name}.wav"
        try:
            status = wav.stat()
            samples = (status.st_size - _HEADER) // SAMPLE_WIDTH
            if samples < 1:
                return None
            for each in self._beside:
                if wav.with_suffix(f".{each}").stat().st_size != samples:
                    return None
            if abs(self._clock() - status.st_mtime) > _TOUCH_AFTER:
                # The WAV alone tells when a sound was last asked for.
                os.utime(wav, (self._clock(), self._clock()))
        except OSError:
            return None
        return _ms(samples)

    def store(self, name: str, pcm: bytes) -> int:
        """Keep 16-bit PCM at 8000 Hz under `name`; how long it is, in ms. Raises `CacheUnusable`."""
        contents = {each: _encode(pcm, each) for each in self._beside} | {"wav": wav_bytes(pcm)}
        size = sum(map(len, contents.values()))
        try:
            self._make_room(size)
            for each, content in contents.items():
                self._write(self.folder / f"{name}.{each}", content)
        except OSError as error:
            raise self._unusable(error) from None
        self._size = (self._size or 0) + size
        return _ms(len(pcm) // SAMPLE_WIDTH)

    def remove(self, name: str) -> None:
        """Remove a sound; one that is not there is no error."""
        for each in ("wav", "ulaw", "alaw"):
            with contextlib.suppress(OSError):
                (self.folder / f"{name}.{each}").unlink()

    @contextlib.contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Hold the right to make this sound, against every other process. Raises `CacheUnusable`."""
        with self._locked(f"{int(name[:8], 16) % _LOCKS:02d}"):
            yield

    @contextlib.contextmanager
    def _locked(self, which: str) -> Iterator[None]:
        try:
            fd = os.open(self.folder / f".lock-{which}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _make_room(self, size: int) -> None:
        now = self._clock()
        if self._size is not None and self._size + size <= self._max and now - self._scanned < _SCAN_AFTER:
            return
        with self._locked("room"):
            entries = self._entries()
            held = sum(entry.size for entry in entries.values())
            if held + size > self._max:
                held = self._evict(entries, held, now, int(self._max * _FULL_TO) - size)
            self._size, self._scanned = held, now
        if held + size > self._max:
            raise CacheUnusable(
                f"the folder of spoken sounds {self.folder} is full of sounds that live jobs may need",
                "raise speech.max_megabytes",
            )

    def _evict(self, entries: dict[str, _Entry], held: int, now: float, wanted: int) -> int:
        for name, entry in sorted(entries.items(), key=lambda pair: pair[1].used):
            if held <= wanted or now - entry.used < KEPT:
                break
            self.remove(name)
            held -= entry.size
        return held

    def _entries(self) -> dict[str, _Entry]:
        found: dict[str, _Entry] = {}
        with os.scandir(self.folder) as files:
            for file in files:
                stem, _, ending = file.name.partition(".")
                if _PART.fullmatch(file.name):
                    self._drop_stale(file)
                if not _NAME.fullmatch(stem) or ending not in ("wav", "ulaw", "alaw"):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    entry = found.setdefault(stem, _Entry())
                    entry.size += status.st_size
                    entry.used = max(entry.used, status.st_mtime)
        return found

    def _drop_stale(self, file: os.DirEntry[str]) -> None:
        """Remove what a process that died was writing."""
        with contextlib.suppress(FileNotFoundError):
            if self._clock() - file.stat().st_mtime > _STALE_PART:
                Path(file.path).unlink(missing_ok=True)

    def _write(self, target: Path, content: bytes) -> None:
        part = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(fd, "wb") as file:
                os.fchmod(fd, 0o644)  # the PBX is another user, whatever our umask
                file.write(content)
                file.flush()
                os.fsync(fd)
            os.utime(part, (self._clock(), self._clock()))
            part.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _unusable(self, error: OSError) -> CacheUnusable:
        return CacheUnusable(
            f"the folder of spoken sounds {self.folder} cannot be written to: {error.strerror}",
            "make it and give it to this user, or name another in speech.folder",
        )


def _encode(pcm: bytes, encoding: str) -> bytes:
    return g711.encode_ulaw(pcm) if encoding == "ulaw" else g711.encode_alaw(pcm)


def _ms(samples: int) -> int:
    return max(1, round(samples * 1000 / SAMPLE_RATE))
