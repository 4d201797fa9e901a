"""The sound library: languages, sounds, templates, silences. Loaded and checked whole, then only read."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from orchestrator.prompts import folders
from orchestrator.prompts.errors import LibraryError
from orchestrator.prompts.folders import LanguageFile
from orchestrator.prompts.language import Language, Sound
from orchestrator.prompts.numbers import rules_for
from orchestrator.prompts.phrases import PhraseTree
from orchestrator.prompts.playlist import Item
from orchestrator.prompts.tags import fallbacks
from orchestrator.prompts.templates import Source, Templates
from orchestrator.prompts.tempo import SILENCES


class Library(msgspec.Struct, frozen=True):
    """All that can be said. `languages` by tag in lower case, `sounds` by full id, `silences` by ms."""

    languages: Mapping[str, Language]
    sounds: Mapping[str, Sound]
    silences: Mapping[int, Item]

    def __repr__(self) -> str:
        return f"Library({', '.join(self.languages)})"

    def resolve(self, tag: str, default: str) -> Language:
        """Return the language for a tag: itself, a wider one (zh-CN, then zh), or the default.

        Raises `LanguageInvalid` for a malformed tag, `LibraryError` when the default is not there.
        """
        found = self.find(tag) or self.find(default)
        if found is None:
            there = ", ".join(language.tag for language in self.languages.values()) or "none"
            raise LibraryError(
                f'the library has no language "{default}"', f"set prompts.language to one of: {there}"
            )
        return found

    def find(self, tag: str) -> Language | None:
        """Return the language for a tag or a wider one; None when there is none. Raises `LanguageInvalid`."""
        for low in fallbacks(tag):
            if low in self.languages:
                return self.languages[low]
        return None


class _Parts(msgspec.Struct):
    """A language while its folders are read."""

    folder: str
    file: LanguageFile
    sounds: dict[str, Sound]
    templates: dict[str, Source]


def packaged_root() -> Path:
    """Return the folder of the sounds that come with the package."""
    return Path(str(files("orchestrator") / "sounds"))


def load_library(roots: Sequence[Path], template_dirs: Sequence[Path] = ()) -> Library:
    """Load the library from its roots, a later one adding to and replacing what the earlier ones gave.

    A root holds `<language>/language.toml`, `<language>/templates/<name>.ssml`, the sounds
    `<language>/<name>.wav` (with `.ulaw`, `.alaw` beside them), `silence/<ms>.wav`, `tone/<name>.wav` and
    the operator's recordings `own/<name>.wav`. A template folder holds `<language>/<name>.ssml`, and
    `<name>.ssml` for every language; it goes before the roots.
    Raises `LibraryError`, which names the file and the mend.
    """
    parts: dict[str, _Parts] = {}
    shared: dict[str, Sound] = {}
    for root in roots:
        for folder in folders.language_folders(root):
            _read_language(folder, parts)
        for name in folders.SHARED:
            shared |= {sound.id: sound for sound in folders.sounds(root / name, name).values()}
    for directory in template_dirs:
        _read_templates(directory, parts)
    silences = _silences(shared, roots)
    languages = {key: _language(part) for key, part in sorted(parts.items())}
    all_sounds = dict(shared)
    for language in languages.values():
        all_sounds |= {sound.id: sound for sound in language.sounds.values()}
    return Library(languages, all_sounds, silences)


def _read_language(folder: Path, parts: dict[str, _Parts]) -> None:
    key = folder.name.lower()
    found = folders.read_language_file(folder)
    known = parts.get(key)
    if known is None:
        if found is None:
            missing = str(folder / folders.LANGUAGE_FILE)
            raise LibraryError(
                "a new language needs this file", "write it, or correct the folder's name", missing
            )
        known = parts[key] = _Parts(folder.name, found, {}, {})
    elif found is not None:
        old = known.file
        known.file = LanguageFile(
            tag=found.tag,
            name=found.name or old.name,
            voice=found.voice or old.voice,
            licence=found.licence or old.licence,
            rules=found.rules or old.rules,
            digits=old.digits | found.digits,
            characters=old.characters | found.characters,
            numbers=old.numbers | found.numbers,
            phrases=old.phrases | found.phrases,
        )
    known.sounds |= folders.sounds(folder, known.folder)
    known.templates |= folders.templates(folder / folders.TEMPLATES)
    file = known.file
    for table in (file.digits, file.characters, file.numbers, file.phrases):
        for text, name in table.items():
            if name not in known.sounds:
                raise LibraryError(
                    f'the sound of "{text}" is missing',
                    f"record it, or take the line out of {folder / folders.LANGUAGE_FILE}",
                    str(folder / f"{name}.wav"),
                )


def _read_templates(directory: Path, parts: dict[str, _Parts]) -> None:
    own: dict[str, Path] = {}
    for folder in folders.language_folders(directory):
        if folder.name.lower() not in parts:
            raise LibraryError(
                "templates for a language without sounds", "add the language first", str(folder)
            )
        own[folder.name.lower()] = folder
    common = folders.templates(directory)
    for key, part in parts.items():
        part.templates |= common
        if key in own:
            part.templates |= folders.templates(own[key])


def _silences(shared: Mapping[str, Sound], roots: Sequence[Path]) -> dict[int, Item]:
    made = {}
    for ms in SILENCES:
        sound = shared.get(f"{folders.SILENCE}/{ms}")
        if sound is None:
            first = str(roots[0]) if roots else "the library"
            raise LibraryError(
                f"silence/{ms}.wav is missing",
                "add it, or put the packaged sounds first among the roots",
                first,
            )
        if abs(sound.ms - ms) > 5:
            raise LibraryError(f"it lasts {sound.ms} ms", f"make it {ms} ms long", str(sound.wav))
        made[ms] = Item(sound.id, ms)
    return made


def _language(part: _Parts) -> Language:
    file = part.file
    for digit in "0123456789":
        if digit not in file.digits:
            raise LibraryError(
                f'language {file.tag} has no sound for the digit "{digit}"',
                "add it to [digits] of language.toml",
            )

    def items(table: Mapping[str, str]) -> dict[str, Item]:
        made = {}
        for text, name in table.items():
            sound = part.sounds[name]
            made[text] = Item(sound.id, sound.ms, text)
        return made

    for key in (*file.digits, *file.characters):
        if len(key) != 1:
            raise LibraryError(
                f'language {file.tag}: "{key}" is more than one character', "correct language.toml"
            )
    tree = PhraseTree()
    for text, item in items(file.phrases).items():
        if not tree.add(text, item):
            raise LibraryError(
                f'language {file.tag}: the phrase "{text}" has no word', "correct language.toml"
            )
    digits = items(file.digits)
    characters = {key.upper(): item for key, item in items(file.characters).items()}
    return Language(
        tag=file.tag,
        name=file.name,
        voice=file.voice,
        licence=file.licence,
        digits=file.digits,
        characters=file.characters,
        numbers=file.numbers,
        phrases=file.phrases,
        templates=Templates(part.templates),
        sounds=part.sounds,
        rules=rules_for(file.tag, file.rules),
        spoken_digits=digits,
        spoken_characters=digits | characters,
        spoken_numbers=items(file.numbers),
        spoken_phrases=tree,
    )
