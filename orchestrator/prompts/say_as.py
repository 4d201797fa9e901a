"""`<say-as>`: what is spoken by its recorded sounds, one by one."""

from typing import NoReturn

from orchestrator.prompts import tempo
from orchestrator.prompts.errors import SoundMissing, SsmlInvalid
from orchestrator.prompts.language import Language
from orchestrator.prompts.speaker import Speaker
from orchestrator.prompts.ssml import Element, Text

_SEPARATORS = frozenset(" \t\r\n\u00a0-‐‑–.")
"""What may stand between digits or characters and is not spoken."""
_LATER = frozenset(
    (
        "address", "cardinal", "currency", "date", "duration", "fraction", "measure", "name", "net",
        "number", "ordinal", "spell-out", "telephone", "time", "unit", "verbatim",
    )
)  # fmt: skip


def say_as(element: Element, speaker: Speaker, language: Language) -> None:
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
