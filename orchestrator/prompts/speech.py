"""Turn a document's tree into a playlist: texts by their recorded phrases, pauses by silences."""

import re
from collections.abc import Sequence
from typing import NoReturn

from orchestrator.prompts import tempo
from orchestrator.prompts.errors import LanguageInvalid, PromptTooLong, SoundMissing, SsmlInvalid
from orchestrator.prompts.language import Language, Sound
from orchestrator.prompts.library import Library
from orchestrator.prompts.phrases import CLAUSE, SENTENCE, Token, literal_tokens, tokens
from orchestrator.prompts.playlist import Item, Playlist
from orchestrator.prompts.ssml import Element, Text

MAX_ITEMS = 500
MAX_MS = 600_000

_SRC = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")
_SEPARATORS = frozenset(" \t\r\n\u00a0-‐‑–.")
"""What may stand between digits or characters and is not spoken."""
_LATER = frozenset(
    (
        "address", "cardinal", "currency", "date", "duration", "fraction", "measure", "name", "net",
        "number", "ordinal", "spell-out", "telephone", "time", "unit", "verbatim",
    )
)  # fmt: skip


class _Speaker:
    """Collects items. `gap` is the pause that punctuation asks for, `said` the one that `<break>` demands."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.items: list[Item] = []
        self.ms = 0
        self.gap = 0
        self.said: int | None = None

    def play(self, item: Item) -> None:
        self._pause()
        self._append(item)

    def rest(self, ms: int) -> None:
        """Ask for a pause at this place. The longest one asked for wins; nothing pauses before it speaks."""
        if ms > self.gap:
            self.gap = ms

    def pause(self, ms: int) -> None:
        """Demand a pause at this place, in the stead of what else was asked for."""
        self.said = (self.said or 0) + ms

    def finish(self) -> Playlist:
        self.gap = 0
        self._pause()
        return tuple(self.items)

    def _pause(self) -> None:
        ms = self.said
        if ms is None:
            ms = self._rest_of_gap() if self.gap and self.items else 0
        self.gap, self.said = 0, None
        if ms:
            silences = self.library.silences
            for silence in tempo.silences(ms):
                self._append(silences[silence])

    def _rest_of_gap(self) -> int:
        """Return what is wanting to the gap after the silence that the last sound ends with."""
        wanting = self.gap - self.library.sounds[self.items[-1].sound].tail
        return int(wanting / 100 + 0.5) * 100 if wanting >= 100 else 0

    def _append(self, item: Item) -> None:
        self.items.append(item)
        self.ms += item.ms
        if len(self.items) > MAX_ITEMS:
            raise PromptTooLong(f"the prompt has more than {MAX_ITEMS} sounds", "make it shorter")
        if self.ms > MAX_MS:
            raise PromptTooLong("the prompt lasts more than 10 minutes", "make it shorter")


def speak(document: Element, library: Library, language: Language) -> Playlist:
    """Return what one hears. Raises `SsmlInvalid`, `SoundMissing`, `PromptTooLong`, with `at` set."""
    speaker = _Speaker(library)
    _element(document, speaker, language)
    if not any(item.text is not None for item in speaker.items):
        raise SsmlInvalid(
            "the prompt says nothing", "put a text, a <say-as> or an <audio> into it", at=document.at
        )
    return speaker.finish()


def _element(element: Element, speaker: _Speaker, language: Language) -> None:
    name = element.name
    if name == "break":
        attributes = element.attributes
        speaker.pause(tempo.break_ms(attributes.get("time"), attributes.get("strength"), element.at))
        return
    if name == "say-as":
        _say_as(element, speaker, language)
        return
    if name == "audio" and _audio(element, speaker, language):
        return
    if "xml:lang" in element.attributes or name == "lang":
        language = _language(element, speaker.library)
    around = tempo.PARAGRAPH if name == "p" else tempo.SENTENCE if name == "s" else 0
    speaker.rest(around)
    for child in element.children:
        if isinstance(child, Text):
            _text(child, speaker, language)
        else:
            _element(child, speaker, language)
    speaker.rest(around)


def _language(element: Element, library: Library) -> Language:
    tag = element.attributes.get("xml:lang")
    if tag is None:
        raise SsmlInvalid("<lang> has no xml:lang", 'write it such as <lang xml:lang="en">', at=element.at)
    try:
        found = library.find(tag)
    except LanguageInvalid:
        found = None
    if found is None:
        shown = "" if "xml:lang" in element.made else f' "{tag[:35]}"'
        there = ", ".join(language.tag for language in library.languages.values())
        raise SsmlInvalid(
            f"the library has no language{shown} that xml:lang asks for",
            f"use one of: {there}",
            at=element.at,
        )
    return found


def _say_as(element: Element, speaker: _Speaker, language: Language) -> None:
    kind = element.attributes.get("interpret-as")
    if kind == "digits":
        table, what = language.spoken_digits, "digit"
    elif kind == "characters":
        table, what = language.spoken_characters, "letter or digit"
    elif kind is None:
        raise SsmlInvalid("<say-as> has no interpret-as", 'write interpret-as="digits"', at=element.at)
    else:
        shown = "" if "interpret-as" in element.made else f' "{kind[:32]}"'
        known = "not supported yet" if kind in _LATER else "unknown"
        raise SsmlInvalid(
            f"the interpret-as{shown} of <say-as> is {known}", "use digits or characters", at=element.at
        )
    spoken = 0
    speaker.rest(tempo.CHARACTER)
    for child in element.children:
        assert isinstance(child, Text)  # noqa: S101 - the reader lets no element in
        for character in child.text:
            item = table.get(character) or table.get(character.upper())
            if item is not None:
                speaker.play(item)
                speaker.rest(tempo.CHARACTER)
                spoken += 1
            elif character not in _SEPARATORS:
                if kind == "characters" and character.isalnum():
                    _unrecorded(child, f"language {language.tag} has no sound for a character in <say-as>")
                raise SsmlInvalid(
                    f"<say-as> holds a character that is no {what}", "correct the text in it", at=element.at
                )
    if not spoken:
        raise SsmlInvalid("<say-as> holds nothing to say", f"put at least one {what} into it", at=element.at)


def _unrecorded(text: Text, what: str) -> NoReturn:
    missing = SoundMissing(what, "record it and add it to [characters] of language.toml", at=text.at)
    missing.made = bool(text.made)
    raise missing


def _audio(element: Element, speaker: _Speaker, language: Language) -> bool:
    """Play the sound if it is there; False when the content is to be spoken in its stead."""
    src = element.attributes.get("src")
    if src is None or not _SRC.fullmatch(src) or len(src) > 128:
        raise SsmlInvalid(
            "the src of <audio> is no name of a sound",
            'write one such as "phrases/hello"; addresses and paths are not allowed',
            at=element.at,
        )
    sound = _sound(src, speaker.library, language)
    if sound is not None:
        speaker.play(Item(sound.id, sound.ms, src))
        return True
    if not element.children:
        made = "src" in element.made
        shown = "that a variable names" if made else f'"{src}"'
        missing = SoundMissing(
            f"the library has no sound {shown}, and <audio> has no other content", "record it", at=element.at
        )
        missing.made = made
        raise missing
    return False


def _sound(src: str, library: Library, language: Language) -> Sound | None:
    found = language.sounds.get(src)
    if found is None:
        first, _, name = src.partition("/")
        if first in library.languages:
            found = library.languages[first].sounds.get(name)
        else:
            found = library.sounds.get(src)
    return found


def _text(text: Text, speaker: _Speaker, language: Language) -> None:
    words = tokens(text.text) if text.made else literal_tokens(text.text)
    tree = language.spoken_phrases
    index = 0
    while index < len(words):
        form = words[index].form
        if form == SENTENCE:
            speaker.rest(tempo.SENTENCE)
        elif form == CLAUSE:
            speaker.rest(tempo.CLAUSE)
        else:
            found = tree.longest(words, index)
            if found is None:
                _missing(text, words, index, language)
            item, index = found
            speaker.play(item)
            continue
        index += 1


def _missing(text: Text, words: Sequence[Token], index: int, language: Language) -> NoReturn:
    """Say which text has no sound: quoted as far as it stands in the template itself."""
    reach = language.spoken_phrases.reach(words, index)
    quoted: list[str] = []
    made = False
    for position, word in enumerate(words[index : index + 30], index):
        if word.form in (SENTENCE, CLAUSE):
            break
        if any(start < word.end and word.start < end for start, end in text.made):
            # Another value might complete a phrase that the words before it begin.
            made = position <= reach
            quoted.append("…")
            break
        quoted.append(text.text[word.start : word.end])
    gap = "" if language.tag.lower().startswith(("zh", "ja")) else " "
    shown = gap.join(quoted)
    if shown == "…":
        what = "a text that a variable or macro made"
    elif quoted[-1] == "…":
        what = f'"{shown}", which a variable or macro goes on with'
    else:
        what = f'"{shown[:120]}"'
    mend = "record it, or add it to [phrases] of language.toml"
    if shown == "…":
        mend = 'record such texts, or spell it in <say-as interpret-as="digits">'
    missing = SoundMissing(
        f"no phrase of language {language.tag} speaks {what}",
        mend,
        at=text.at,
        lines=text.text.count("\n", 0, words[index].start),
    )
    missing.made = made
    raise missing
