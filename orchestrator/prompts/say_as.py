"""`<say-as>`: spelt by the sounds of characters, or read by a language's rules and said by its words."""

from collections.abc import Callable, Iterable
from typing import NoReturn

from orchestrator.prompts import tempo
from orchestrator.prompts.errors import SoundMissing, SsmlInvalid
from orchestrator.prompts.language import Language
from orchestrator.prompts.numbers import Rules, values
from orchestrator.prompts.playlist import Item
from orchestrator.prompts.speaker import Speaker
from orchestrator.prompts.ssml import Element, Text

SEPARATORS = frozenset(" \t\r\n\u00a0-\u2010\u2011\u2013.")
"""What may stand between digits or characters and is not spoken."""
GROUPS = SEPARATORS | frozenset("()/")
"""What may stand between the groups of a telephone number; it pauses there."""

SPELT = ("digits", "characters", "telephone")
READ: dict[str, tuple[Callable[[Rules, str, str | None], list[str]], str]] = {
    "cardinal": (lambda rules, text, _: rules.cardinal(values.number(text)), "1"),
    "number": (lambda rules, text, _: rules.cardinal(values.number(text)), "1"),
    "ordinal": (lambda rules, text, _: rules.ordinal(values.ordinal(text)), "1"),
    "date": (lambda rules, text, form: rules.date(values.date(text, form)), ""),
    "time": (lambda rules, text, form: rules.time(values.time(text, form)), "1:05"),
    "currency": (lambda rules, text, _: rules.currency(values.money(text, rules.yen_sign)), "USD 1.50"),
}
"""What reads and says each kind, and a text that it can read."""
WITH_FORMAT = ("date", "time")

_LATER = frozenset(
    ("address", "duration", "fraction", "measure", "name", "net", "spell-out", "unit", "verbatim")
)


def say_as(element: Element, speaker: Speaker, language: Language, *, trial: bool = False) -> None:
    """Speak a `<say-as>`. Raises `SsmlInvalid` or `SoundMissing`, which show no value of a variable.

    `trial`: a value that a variable made, and that cannot be read, is replaced by one that can.
    """
    kind = element.attributes.get("interpret-as")
    if kind is None:
        raise SsmlInvalid("<say-as> has no interpret-as", 'write interpret-as="digits"', at=element.at)
    if kind not in SPELT and kind not in READ:
        shown = "" if "interpret-as" in element.made else f' "{kind[:32]}"'
        known = "not supported yet" if kind in _LATER else "unknown"
        there = ", ".join((*SPELT, *READ))
        raise SsmlInvalid(
            f"the interpret-as{shown} of <say-as> is {known}", f"use one of {there}", at=element.at
        )
    if "format" in element.attributes and kind not in WITH_FORMAT:
        raise SsmlInvalid("<say-as> takes a format for dates and times only", "take it out", at=element.at)
    texts = [child for child in element.children if isinstance(child, Text)]
    if kind in READ:
        _read(element, texts, kind, speaker, language, trial)
    else:
        _spell(element, texts, kind, speaker, language)


def _spell(element: Element, texts: list[Text], kind: str, speaker: Speaker, language: Language) -> None:
    table = language.spoken_digits if kind == "digits" else language.spoken_characters
    what = "digit" if kind == "digits" else "letter or digit"
    if kind == "telephone":
        table, what = _telephone(language), "digit of a telephone number"
    separators = GROUPS if kind == "telephone" else SEPARATORS
    spoken = 0
    speaker.rest(tempo.CHARACTER)
    for child in texts:
        for character in child.text:
            item = table.get(character) or table.get(character.upper())
            if item is not None:
                speaker.play(item)
                speaker.rest(tempo.CHARACTER)
                spoken += 1
            elif character in separators:
                if kind == "telephone":
                    speaker.rest(tempo.GROUP)
            else:
                if kind == "characters" and character.isalnum():
                    _unrecorded(child, f"language {language.tag} has no sound for a character in <say-as>")
                raise SsmlInvalid(
                    f"<say-as> holds a character that is no {what}", "correct the text in it", at=element.at
                )
    if not spoken:
        raise SsmlInvalid("<say-as> holds nothing to say", f"put at least one {what} into it", at=element.at)


def _telephone(language: Language) -> dict[str, Item]:
    """The sounds of a telephone number: digits, some of which a language says otherwise there, and + * #."""
    table = dict(language.spoken_digits)
    table |= {sign: item for sign in "+*#" if (item := language.spoken_characters.get(sign))}
    if language.rules is not None:
        for digit, word in language.rules.telephone.items():
            if word in language.spoken_numbers:
                table[digit] = language.spoken_numbers[word]
    return table


def _unrecorded(text: Text, what: str) -> NoReturn:
    missing = SoundMissing(what, "record it and add it to [characters] of language.toml", at=text.at)
    missing.made = bool(text.made)
    raise missing


def _read(
    element: Element, texts: list[Text], kind: str, speaker: Speaker, language: Language, trial: bool
) -> None:
    if language.rules is None:
        raise SsmlInvalid(
            f'language {language.tag} has no rules for <say-as interpret-as="{kind}">',
            "name some with `rules` in language.toml, or use digits",
            at=element.at,
        )
    text = " ".join("".join(child.text for child in texts).split())
    made = any(child.made for child in texts) or "format" in element.made
    form = element.attributes.get("format")
    words = _words(kind, language.rules, text, form)
    if trial and made and isinstance(words, values.Unreadable):
        sample = values.EXAMPLES.get(form or "ymd", "") if kind == "date" else READ[kind][1]
        words = _words(kind, language.rules, sample, form)
        made = False
    if isinstance(words, values.Unreadable):
        what = (
            "what a variable or macro made"
            if made
            else "the text"
            if len(text) > values.MAX_TEXT
            else f'"{text}"'
        )
        fault = SsmlInvalid(
            f'{what} in <say-as interpret-as="{kind}"> is {words.what}', words.mend, at=element.at
        )
        fault.made = made
        raise fault
    _say(words, made, element, speaker, language)


def _words(kind: str, rules: Rules, text: str, form: str | None) -> list[str] | values.Unreadable:
    try:
        return READ[kind][0](rules, text, form)
    except values.Unreadable as error:
        return error.with_traceback(None)


def _say(words: Iterable[str], made: bool, element: Element, speaker: Speaker, language: Language) -> None:
    speaker.rest(tempo.WORD)
    for word in words:
        item = language.spoken_numbers.get(word)
        if item is None:
            shown = "a word" if made else f'the word "{word}"'
            missing = SoundMissing(
                f"language {language.tag} has no sound for {shown} of a number, date, time or amount",
                "record it and add it to [numbers] of language.toml",
                at=element.at,
            )
            missing.made = made
            raise missing
        speaker.play(item)
    speaker.rest(tempo.WORD)
