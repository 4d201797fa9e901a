"""What lies in the folders of a sound library. Reads and checks names and files; knows no SSML."""

import os
import re
import sys
import tomllib
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH, WavError, read_wav
from orchestrator.prompts.errors import LanguageInvalid, LibraryError
from orchestrator.prompts.language import Sound
from orchestrator.prompts.numbers import RULES
from orchestrator.prompts.tags import fallbacks
from orchestrator.prompts.templates import MAX_SOURCE, Source

SILENCE = "silence"
SHARED = (SILENCE, "tone", "own")
"""Folders of a root that are no language: silences, tones, and an operator's own recordings."""
TEMPLATES = "templates"
TEMPLATE_SUFFIX = ".ssml"
LANGUAGE_FILE = "language.toml"
ENCODINGS = ("ulaw", "alaw")

TEMPLATE_NAME = re.compile(r"[a-z0-9_-]{1,64}")
SOUND_NAME = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")


class LanguageFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`language.toml`. A later root's file may hold only what it adds or replaces, and the tag.

    `rules` names the number rules to use (`en`, `zh`) where the tag does not. `digit_gap_ms` says how the
    digits were made, for who renders them again; the silence at a sound's end is measured here, and not
    taken from it.
    """

    tag: str
    name: str = ""
    voice: str = ""
    licence: str = ""
    rules: str = ""
    digit_gap_ms: int = 0
    digits: dict[str, str] = {}
    characters: dict[str, str] = {}
    numbers: dict[str, str] = {}
    phrases: dict[str, str] = {}


def language_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of a root that may be languages, in the order of their names."""
    if not root.is_dir():
        raise LibraryError("there is no such folder", "create it, or correct the configuration", str(root))
    for entry in sorted(root.iterdir()):
        if not entry.is_dir() or entry.name in SHARED or entry.name.startswith((".", "_")):
            continue
        inside(entry, root)
        try:
            next(fallbacks(entry.name))
        except LanguageInvalid:
            raise LibraryError(
                "the folder's name is no language tag", 'name it such as "en" or "zh-cn"', str(entry)
            ) from None
        yield entry


def inside(path: Path, root: Path) -> None:
    """Refuse a path that leads out of its root by a symbolic link."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise LibraryError(
            f"a link that leads out of {root}", "copy the file there instead of linking", str(path)
        )


def read_language_file(folder: Path) -> LanguageFile | None:
    """Read a folder's `language.toml`; None when it has none."""
    path = folder / LANGUAGE_FILE
    if not path.exists():
        return None
    inside(path, folder)
    try:
        found = msgspec.convert(tomllib.loads(_text(path)), LanguageFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise LibraryError(str(error), "correct it", str(path)) from None
    if found.tag.lower() != folder.name.lower():
        raise LibraryError(
            f'tag = "{found.tag}" in a folder named {folder.name}', "give both the same name", str(path)
        )
    if found.rules and found.rules not in RULES:
        raise LibraryError(
            f'there are no number rules "{found.rules}"', f"use one of {', '.join(RULES)}", str(path)
        )
    for table in (found.digits, found.characters, found.numbers, found.phrases):
        for key, name in table.items():
            if not SOUND_NAME.fullmatch(name):
                raise LibraryError(
                    f'"{key}" = "{name}": that is no name of a sound',
                    'write it such as "digits/4": a-z 0-9 _ - and / only',
                    str(path),
                )
    return found


def sounds(folder: Path, prefix: str) -> dict[str, Sound]:
    """Read every sound of a folder; keys are the names relative to it. `prefix` begins the full id."""
    wavs: dict[str, Path] = {}
    others: dict[str, list[str]] = {}
    for path in _files(folder):
        suffix = path.suffix[1:]
        if suffix not in ("wav", *ENCODINGS):
            continue
        if path.is_symlink():  # the folders on the way are none: the walk does not follow them
            inside(path, folder)
        name = path.relative_to(folder).with_suffix("").as_posix()
        if not SOUND_NAME.fullmatch(name):
            raise LibraryError(
                "the file's name is no name of a sound", "use a-z 0-9 _ - only, in lower case", str(path)
            )
        if suffix == "wav":
            wavs[name] = path
        else:
            others.setdefault(name, []).append(suffix)
    for name in sorted(others.keys() - wavs.keys()):
        missing = folder / f"{name}.wav"
        raise LibraryError("the WAV of this sound is missing", "put it beside the others", str(missing))
    found = {
        name: Sound(f"{prefix}/{name}", *_lengths(path), path, tuple(sorted(others.get(name, ()))))
        for name, path in sorted(wavs.items())
    }
    for sound in found.values():
        for encoding in sound.encodings:
            _same_length(sound, encoding)
    return found


def templates(folder: Path) -> dict[str, Source]:
    """Read every template that lies directly in a folder; keys are their names."""
    found: dict[str, Source] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.suffix != TEMPLATE_SUFFIX or not path.is_file():
            continue
        inside(path, folder)
        if not TEMPLATE_NAME.fullmatch(path.stem):
            raise LibraryError(
                "the file's name is no name of a template",
                "use 1 to 64 of a-z 0-9 _ - before .ssml",
                str(path),
            )
        found[path.stem] = Source(path, _text(path))
    return found


def _files(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield Path(base) / name


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > max(4 * MAX_SOURCE, 1 << 20):
            raise LibraryError("the file is too large", "make it smaller", str(path))
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except UnicodeDecodeError:
        reason = "it is not in UTF-8"
    raise LibraryError(f"the file cannot be read ({reason})", "correct it", str(path))


def _same_length(sound: Sound, encoding: str) -> None:
    """Refuse an encoding that cannot be of the same recording. G.711 has one byte a sample, and no header."""
    path = sound.wav.with_suffix(f".{encoding}")
    ms = round(path.stat().st_size * 1000 / SAMPLE_RATE)
    if abs(ms - sound.ms) > 10:
        raise LibraryError(
            f"it lasts {ms} ms, and the WAV of that name {sound.ms} ms",
            "make both of one recording",
            str(path),
        )


def _lengths(path: Path) -> tuple[int, int]:
    """Return how long a sound and the silence at its end are, in ms."""
    try:
        pcm = read_wav(path)
    except WavError as error:
        reason = str(error)
    else:
        if pcm:
            return max(1, round(len(pcm) * 1000 / (SAMPLE_RATE * SAMPLE_WIDTH))), _tail(pcm)
        reason = f"{path}: holds no sound; record it again"
    raise LibraryError(reason, "or take the file away")


def _tail(pcm: bytes) -> int:
    """Return the ms at the end, to 10 ms, that stay 38 dB below the loudest sample: room noise, no speech."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    limit = max(max(samples), -min(samples)) / 80
    step = SAMPLE_RATE // 100
    end = len(samples)
    while end >= step and max(max(part := samples[end - step : end]), -min(part)) <= limit:
        end -= step
    return (len(samples) - end) // step * 10
