"""A language of the library, as it is once loaded and checked."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.prompts.numbers import Rules
from orchestrator.prompts.phrases import PhraseTree
from orchestrator.prompts.playlist import Item
from orchestrator.prompts.templates import Templates


class Sound(msgspec.Struct, frozen=True):
    """A sound: full id, length and the silence at its end in ms, its WAV, and the encodings beside it.

    `encodings` is of `ulaw` and `alaw`. `tail` counts as a part of a pause that is made after the sound.
    """

    id: str
    ms: int
    tail: int
    wav: Path
    encodings: tuple[str, ...]


class Language(msgspec.Struct, frozen=True):
    """What one language can say.

    `digits` and `characters` map one character to the name of its sound, `numbers` a word of the rules to
    one, `phrases` a text; a name is relative to the language's folder. `sounds` maps each name to its
    sound. `rules` make words of numbers, dates, times and amounts. The last fields hold the tables made
    ready for speaking.
    """

    tag: str
    name: str
    voice: str
    licence: str
    digits: Mapping[str, str]
    characters: Mapping[str, str]
    numbers: Mapping[str, str]
    phrases: Mapping[str, str]
    templates: Templates
    sounds: Mapping[str, Sound]
    rules: Rules | None
    spoken_digits: Mapping[str, Item]
    spoken_characters: Mapping[str, Item]
    spoken_numbers: Mapping[str, Item]
    spoken_phrases: PhraseTree

    def __repr__(self) -> str:
        return f"Language({self.tag!r}, {len(self.sounds)} sounds)"
