"""A template and a job's values become playlists; and every template is tried without a job."""

from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.prompts.engine import Engine
from orchestrator.prompts.errors import (
    EngineMissing,
    PromptError,
    SoundMissing,
    TemplateNotFound,
    VariablesInvalid,
)
from orchestrator.prompts.folders import SOUND_NAME, TEMPLATE_NAME
from orchestrator.prompts.language import Language
from orchestrator.prompts.library import Library
from orchestrator.prompts.playlist import Item, Playlist, Prepared, PreparedItem
from orchestrator.prompts.speaker import Speaker
from orchestrator.prompts.speech import Delivery, find_sound, say_text, speak
from orchestrator.prompts.ssml import Text, parse
from orchestrator.prompts.values import checked_text, checked_values

MAX_PLAYS = 9
SAMPLE_CODE = "0123456789"


class TemplateFault(msgspec.Struct, frozen=True):
    """A template that cannot be spoken, and why (`message` says the mend too)."""

    language: str
    template: str
    message: str


def prepare(
    library: Library,
    language_tag: str,
    template: str,
    *,
    code: str | None,
    variables: Mapping[str, str | int | float],
    plays: int,
    default_language: str,
    engine: Engine | None = None,
) -> Prepared:
    """Render a template `plays` times (1 to 9) and return what is to be played.

    The template sees `play` (from 1), `plays`, `code` (unless None) and the variables, all escaped. Text
    that no recorded phrase speaks goes to the engine, which may block for seconds; with a code, only what
    stands in the template itself.
    Raises a `PromptError` of any kind; its message holds neither the code nor a variable's value.
    """
    language = find_template(library, language_tag, template, default_language)
    if not 1 <= plays <= MAX_PLAYS:
        raise VariablesInvalid(f"plays is not between 1 and {MAX_PLAYS}", "correct it")
    values: dict[str, Any] = checked_values(variables, code)
    values["plays"] = plays
    delivery = Delivery(language, engine, secret=code is not None)
    playlists = []
    for play in range(1, plays + 1):
        values["play"] = play
        playlists.append(_playlist(library, delivery, template, values))
    return Prepared(language.tag, tuple(playlists))


def prepare_item(
    library: Library,
    language_tag: str,
    *,
    template: str | None = None,
    sound: str | None = None,
    text: str | None = None,
    variables: Mapping[str, str | int | float],
    default_language: str,
    engine: Engine | None = None,
) -> PreparedItem:
    """Return one item of a notice: of a template, of a sound, or of a free text; exactly one must be given.

    `sound` is a full id (`own/closing`), or a name in the language (`phrases/hello`). `text` is spoken as
    it stands, nothing in it is markup: by recorded phrases when they cover all of it, else by the engine.
    The variables are the template's. May block for seconds where an engine speaks.
    Raises a `PromptError` of any kind; its message holds neither the text nor a variable's value.
    """
    if [template, sound, text].count(None) != 2:
        raise VariablesInvalid("an item is not exactly one of template, sound and text", "give one of them")
    if template is not None:
        prepared = prepare(
            library,
            language_tag,
            template,
            code=None,
            variables=variables,
            plays=1,
            default_language=default_language,
            engine=engine,
        )
        return PreparedItem(prepared.language, prepared.plays[0])
    language = library.resolve(language_tag, default_language)
    if sound is not None:
        return PreparedItem(language.tag, (_recorded(library, language, sound),))
    return PreparedItem(language.tag, _free(library, Delivery(language, engine), text or ""))


def _recorded(library: Library, language: Language, name: str) -> Item:
    found = find_sound(name, library, language) if SOUND_NAME.fullmatch(name) and len(name) <= 128 else None
    if found is None:
        raise SoundMissing(
            "the library has no sound of the name that an item gives",
            "record it, or use one that `orchestrator sounds list` shows",
        )
    return Item(found.id, found.ms, name)


def _free(library: Library, delivery: Delivery, text: str) -> Playlist:
    words = checked_text(text)
    speaker = Speaker(library)
    fault: PromptError
    try:
        say_text(Text(words, ((0, len(words)),), -1), speaker, delivery)
    except SoundMissing:
        fault = EngineMissing(
            f"no recorded phrases of language {delivery.language.tag} speak the text, and no engine does",
            "configure one, or record the text as a sound",
        )
    except PromptError as error:
        fault = error.placed("the text")
    else:
        playlist = speaker.finish()
        if playlist:
            return playlist
        fault = VariablesInvalid("the text says nothing", "put a word into it")
    raise fault


def find_template(library: Library, language_tag: str, template: str, default_language: str) -> Language:
    """The language that has the template, or the one it falls back to.

    Raises `LanguageInvalid` or `TemplateNotFound`.
    """
    language = library.resolve(language_tag, default_language)
    if not TEMPLATE_NAME.fullmatch(template):
        raise TemplateNotFound("the template's name is not 1 to 64 of a-z 0-9 _ -", "correct it")
    if template not in language.templates.names:
        there = ", ".join(sorted(language.templates.names)) or "none"
        raise TemplateNotFound(
            f'language {language.tag} has no template "{template}"', f"write it, or use one of: {there}"
        )
    return language


def check_templates(library: Library, engine: Engine | None = None) -> tuple[TemplateFault, ...]:
    """Render each template of each language with a sample code, and return those that fail.

    A variable is given the sample value 1; that no phrase speaks such a value, or that it is no date, is
    no fault. Free text is given to the engine, in a template with a code as little of it as in a job. A
    template whose name begins with `_` is a part for others to include, and is not tried alone.
    """
    faults = []
    for language in library.languages.values():
        for name in language.templates.names:
            if name.startswith("_"):
                continue
            asked_for = language.templates.variables(name)
            delivery = Delivery(language, engine, secret="code" in asked_for, trial=True)
            values: dict[str, Any] = dict.fromkeys(asked_for, 1)
            values |= {"code": SAMPLE_CODE, "play": 1, "plays": 1}
            try:
                _playlist(library, delivery, name, values)
            except PromptError as error:
                if not error.made:
                    faults.append(TemplateFault(language.tag, name, str(error)))
    return tuple(faults)


def _playlist(library: Library, delivery: Delivery, template: str, values: Mapping[str, Any]) -> Playlist:
    language = delivery.language
    fault: PromptError
    try:
        document = language.templates.render(template, values)
        return speak(parse(document), library, delivery)
    except PromptError as error:
        fault = error
    # Raised anew out here: no traceback of the first error, no context that holds the document.
    if fault.where:
        raise fault.placed(f"{fault.where} ({language.tag})")
    place = language.templates.place(template, values, fault.at, fault.lines) if fault.at >= 0 else None
    line = f'template "{place.template}", line {place.line}' if place else f'template "{template}"'
    raise fault.placed(f"{line} ({language.tag})")
