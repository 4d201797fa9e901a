"""What a prompt becomes: sounds, one after the other.

A playlist spells the code, digit by digit. Hence no `repr` in this module shows a sound, a text or the
length of one sound: the sounds of two digits differ in length.
"""

from collections.abc import Sequence
from typing import Any

import msgspec


class Item(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One sound: its full id (`en/digits/4`, `silence/500`), its length in ms, and the text it speaks."""

    sound: str
    ms: int
    text: str | None = None

    def __repr__(self) -> str:
        return "Item(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


Playlist = tuple[Item, ...]


class Prepared(msgspec.Struct, frozen=True):
    """A prompt ready to be played: the language it was found in, and one playlist for each play."""

    language: str
    plays: tuple[Playlist, ...]

    def __repr__(self) -> str:
        items = sum(len(playlist) for playlist in self.plays)
        seconds = round(sum(length(playlist) for playlist in self.plays) / 1000)
        plays = len(self.plays)
        return f"Prepared(language={self.language!r}, plays={plays}, items={items}, seconds={seconds})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("language", self.language), ("plays", len(self.plays))]


class PreparedItem(msgspec.Struct, frozen=True):
    """One item of a notice ready to be played, and the language it was found in."""

    language: str
    playlist: Playlist

    def __repr__(self) -> str:
        seconds = round(length(self.playlist) / 1000)
        return f"PreparedItem(language={self.language!r}, items={len(self.playlist)}, seconds={seconds})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("language", self.language)]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One line of a playlist for display: when it starts, what is played, how long (ms), which text."""

    start: int
    sound: str
    ms: int
    text: str

    def __repr__(self) -> str:
        return "Row(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


def length(playlist: Sequence[Item]) -> int:
    """Return how long the playlist lasts, in ms."""
    return sum(item.ms for item in playlist)


def describe(playlist: Sequence[Item]) -> tuple[Row, ...]:
    """Return the playlist as rows for display. They show the code; show them to nobody but the operator."""
    rows = []
    start = 0
    for item in playlist:
        rows.append(Row(start, item.sound, item.ms, item.text or ""))
        start += item.ms
    return tuple(rows)
