"""Media URIs: `sound:`, `recording:`, `digits:`, `number:`, `characters:`, `tone:`, and what clips they
stand for."""

import msgspec

from orchestrator.pbx.virtual.clips import Clip, Clips
from orchestrator.pbx.virtual.tones import tone

_FOR_EVER = 86400 * 8000
_MUTE_TONES = frozenset({"info", "record", "stutter"})
"""Tones that are known and not heard here."""
_CHARACTERS = {
    " ": "space",
    ".": "dot",
    "-": "dash",
    "*": "asterisk",
    "#": "pound",
    "/": "slash",
    "+": "plus",
}


class Media(msgspec.Struct, frozen=True):
    """What one media URI stands for. Without clips it is not there; `unknown`: nothing that a switch could
    play, for which Asterisk gives the playback up without a word [measured]."""

    clips: tuple[Clip, ...] = ()
    stoppable: bool = True
    unknown: bool = False


def media_of(uri: str, clips: Clips, language: str, recording: Clip | None) -> Media:
    """What `uri` stands for; `recording` is the stored recording that it names, if there is one."""
    scheme, colon, name = uri.partition(":")
    match scheme if colon else "":
        case "sound":
            return _whole([clips.find(name, language)])
        case "recording":
            return Media(unknown=True) if recording is None else Media((recording,))
        case "digits":
            return _spelled(clips, language, [_digit(key) for key in name])
        case "characters":
            return _spelled(clips, language, [_character(each) for each in name.lower()])
        case "number":
            return _spelled(clips, language, _number(name))
        case "tone":
            return _tone(name.partition(";")[0])
        case _:
            return Media(unknown=True)


def _tone(name: str) -> Media:
    clips = tone(name) or ((Clip("", _FOR_EVER),) if name in _MUTE_TONES else ())
    return Media(clips, unknown=not clips)


def _whole(found: list[Clip | None]) -> Media:
    return Media(tuple(clip for clip in found if clip is not None))


def _spelled(clips: Clips, language: str, names: list[str]) -> Media:
    """Spoken by the switch itself. It cannot be stopped in Asterisk."""
    found = _whole([clips.find(name, language) for name in names])
    return Media(found.clips, stoppable=False)


def _digit(key: str) -> str:
    return f"digits/{ {'*': 'star', '#': 'pound', '-': 'minus'}.get(key, key) }"


def _character(each: str) -> str:
    if each.isdecimal():
        return f"digits/{each}"
    return f"letters/{_CHARACTERS.get(each, each)}"


def _number(text: str) -> list[str]:
    """A whole number in English, as `say_number` builds it."""
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        return []
    number = int(text)
    if number == 0:
        return ["digits/0"]
    words: list[str] = []
    for unit, name in ((1_000_000, "digits/million"), (1000, "digits/thousand"), (1, "")):
        group = number // unit % 1000
        if group:
            words += _below_thousand(group)
            words += [name] if name else []
    return words


def _below_thousand(number: int) -> list[str]:
    words: list[str] = []
    if number >= 100:
        words += [f"digits/{number // 100}", "digits/hundred"]
        number %= 100
    if number > 20:
        words.append(f"digits/{number // 10 * 10}")
        number %= 10
    if number:
        words.append(f"digits/{number}")
    return words
