"""Turn a document's tree into a playlist: recorded phrases, an engine's speech, silences."""

import re
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from orchestrator.prompts import manner, tempo
from orchestrator.prompts.engine import Engine, Utterance
from orchestrator.prompts.errors import LanguageInvalid, PromptError, SoundMissing, SsmlInvalid
from orchestrator.prompts.language import Language, Sound
from orchestrator.prompts.library import Library
from orchestrator.prompts.manner import Manner
from orchestrator.prompts.phrases import CLAUSE, SENTENCE, Token, literal_tokens, tokens
from orchestrator.prompts.playlist import Item, Playlist
from orchestrator.prompts.say_as import say_as
from orchestrator.prompts.speaker import Speaker
from orchestrator.prompts.ssml import Element, Text

_SRC = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")


class Delivery(msgspec.Struct, frozen=True):
    """Who speaks at a place of the document, and how.

    `secret`: the prompt has a code, so an engine is given nothing that a variable or a macro made.
    `trial`: nobody will hear it; a made value that is no date, say, is replaced by one that is.
    """

    language: Language
    engine: Engine | None = None
    secret: bool = False
    trial: bool = False
    manner: Manner = manner.PLAIN


def speak(document: Element, library: Library, delivery: Delivery) -> Playlist:
    """Return what one hears. Raises `SsmlInvalid`, `SoundMissing`, `PromptTooLong`, with `at` set.

    With an engine also `EngineMissing` and `EngineFailed`; it then blocks for as long as the engine does.
    """
    speaker = Speaker(library)
    _element(document, speaker, delivery)
    if not any(item.text is not None for item in speaker.items):
        raise SsmlInvalid(
            "the prompt says nothing", "put a text, a <say-as> or an <audio> into it", at=document.at
        )
    return speaker.finish()


def _element(element: Element, speaker: Speaker, delivery: Delivery) -> None:
    name = element.name
    if name == "break":
        attributes = element.attributes
        speaker.pause(tempo.break_ms(attributes.get("time"), attributes.get("strength"), element.at))
        return
    if name == "say-as":
        say_as(element, speaker, delivery.language, trial=delivery.trial)
        return
    if name == "audio" and _audio(element, speaker, delivery.language):
        return
    if "xml:lang" in element.attributes or name == "lang":
        language = _language(element, speaker.library)
        delivery = msgspec.structs.replace(delivery, language=language)
    if name in ("prosody", "voice"):
        delivery = _changed(element, delivery)
    around = tempo.PARAGRAPH if name == "p" else tempo.SENTENCE if name == "s" else 0
    speaker.rest(around)
    for child in element.children:
        if isinstance(child, Text):
            say_text(child, speaker, delivery)
        else:
            _element(child, speaker, delivery)
    speaker.rest(around)


def _changed(element: Element, delivery: Delivery) -> Delivery:
    if delivery.secret and element.made:
        raise SsmlInvalid(
            f"a variable has a part in <{element.name}>, and the prompt has a code",
            "write the attribute into the template",
            at=element.at,
        )
    change = manner.voice if element.name == "voice" else manner.prosody
    return msgspec.structs.replace(delivery, manner=change(delivery.manner, element.attributes, element.at))


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


def _audio(element: Element, speaker: Speaker, language: Language) -> bool:
    """Play the sound if it is there; False when the content is to be spoken in its stead."""
    src = element.attributes.get("src")
    if src is None or not _SRC.fullmatch(src) or len(src) > 128:
        raise SsmlInvalid(
            "the src of <audio> is no name of a sound",
            'write one such as "phrases/hello"; addresses and paths are not allowed',
            at=element.at,
        )
    sound = find_sound(src, speaker.library, language)
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


def find_sound(src: str, library: Library, language: Language) -> Sound | None:
    """Return a sound by its name in the language, or by its full id; None when it is not there."""
    found = language.sounds.get(src)
    if found is None:
        first, _, name = src.partition("/")
        if first in library.languages:
            found = library.languages[first].sounds.get(name)
        else:
            found = library.sounds.get(src)
    return found


def say_text(text: Text, speaker: Speaker, delivery: Delivery) -> None:
    """Speak a run of text: by recorded phrases when they cover all of it, else all of it by the engine."""
    words = tokens(text.text) if text.made else literal_tokens(text.text)
    plan = _covered(words, delivery.language)
    if isinstance(plan, int):
        if delivery.engine is None or (delivery.secret and text.made):
            _missing(text, words, plan, delivery.language)
        plan = [*_marks(words[:1]), _spoken(text, delivery.engine, delivery), *_marks(words[-1:])]
    for step in plan:
        if isinstance(step, int):
            speaker.rest(step)
        else:
            speaker.play(step)


def _covered(words: Sequence[Token], language: Language) -> list[Item | int] | int:
    """Return phrases and pauses (ms), or the index of the first word that no phrase speaks."""
    tree = language.spoken_phrases
    plan: list[Item | int] = []
    index = 0
    while index < len(words):
        form = words[index].form
        if form == SENTENCE:
            plan.append(tempo.SENTENCE)
        elif form == CLAUSE:
            plan.append(tempo.CLAUSE)
        else:
            found = tree.longest(words, index)
            if found is None:
                return index
            item, index = found
            plan.append(item)
            continue
        index += 1
    return plan


def _marks(words: Sequence[Token]) -> list[Item | int]:
    """Return the pause of the mark that a text for the engine begins or ends with."""
    pauses = {SENTENCE: tempo.SENTENCE, CLAUSE: tempo.CLAUSE}
    return [pauses[word.form] for word in words if word.form in pauses]


def _spoken(text: Text, engine: Engine, delivery: Delivery) -> Item:
    how = delivery.manner
    try:
        return engine.speak(
            Utterance(
                text=" ".join(text.text.split()),
                language=delivery.language.tag,
                voice=how.voice,
                rate=how.rate,
                pitch=how.pitch,
                volume=how.volume,
            )
        )
    except PromptError as error:
        error.at, error.lines = text.at, text.text.count("\n", 0, len(text.text) - len(text.text.lstrip()))
        error.made = bool(text.made)
        raise


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
