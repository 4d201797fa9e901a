"""A template and a job's values become playlists; and every template is tried without a job."""

from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.prompts.errors import (
    PromptError,
    SoundMissing,
    TemplateNotFound,
    VariablesInvalid,
)
from orchestrator.prompts.folders import TEMPLATE_NAME
from orchestrator.prompts.language import Language
from orchestrator.prompts.library import Library
from orchestrator.prompts.playlist import Playlist, Prepared
from orchestrator.prompts.speech import speak
from orchestrator.prompts.ssml import parse
from orchestrator.prompts.values import checked_values

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
) -> Prepared:
    """Render a template `plays` times (1 to 9) and return what is to be played.

    The template sees `play` (from 1), `plays`, `code` (unless None) and the variables, all escaped.
    Raises a `PromptError` of any kind; its message holds neither the code nor a variable's value.
    """
    language = find_template(library, language_tag, template, default_language)
    if not 1 <= plays <= MAX_PLAYS:
        raise VariablesInvalid(f"plays is not between 1 and {MAX_PLAYS}", "correct it")
    values: dict[str, Any] = checked_values(variables, code)
    values["plays"] = plays
    playlists = []
    for play in range(1, plays + 1):
        values["play"] = play
        playlists.append(_playlist(library, language, template, values))
    return Prepared(language.tag, tuple(playlists))


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


def check_templates(library: Library) -> tuple[TemplateFault, ...]:
    """Render each template of each language with a sample code, and return those that fail.

    A variable is given the sample value 1; that no phrase speaks such a value is no fault. A template
    whose name begins with `_` is a part for others to include, and is not tried alone.
    """
    faults = []
    for language in library.languages.values():
        for name in language.templates.names:
            if name.startswith("_"):
                continue
            values: dict[str, Any] = dict.fromkeys(language.templates.variables(name), 1)
            values |= {"code": SAMPLE_CODE, "play": 1, "plays": 1}
            try:
                _playlist(library, language, name, values)
            except SoundMissing as error:
                if not error.made:
                    faults.append(TemplateFault(language.tag, name, str(error)))
            except PromptError as error:
                faults.append(TemplateFault(language.tag, name, str(error)))
    return tuple(faults)


def _playlist(library: Library, language: Language, template: str, values: Mapping[str, Any]) -> Playlist:
    fault: PromptError
    try:
        document = language.templates.render(template, values)
        return speak(parse(document), library, language)
    except PromptError as error:
        fault = error
    # Raised anew out here: no traceback of the first error, no context that holds the document.
    if fault.where:
        raise fault.placed(f"{fault.where} ({language.tag})")
    place = language.templates.place(template, values, fault.at, fault.lines) if fault.at >= 0 else None
    line = f'template "{place.template}", line {place.line}' if place else f'template "{template}"'
    raise fault.placed(f"{line} ({language.tag})")
