"""Collects the sounds of a prompt, and makes its pauses out of silences."""

from orchestrator.prompts import tempo
from orchestrator.prompts.errors import PromptTooLong
from orchestrator.prompts.library import Library
from orchestrator.prompts.playlist import Item, Playlist

MAX_ITEMS = 500
MAX_MS = 600_000


class Speaker:
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
        # An engine's sound is not in the library; it ends where its speech ends.
        last = self.library.sounds.get(self.items[-1].sound)
        wanting = self.gap - (last.tail if last is not None else 0)
        return int(wanting / 100 + 0.5) * 100 if wanting >= 100 else 0

    def _append(self, item: Item) -> None:
        self.items.append(item)
        self.ms += item.ms
        if len(self.items) > MAX_ITEMS:
            raise PromptTooLong(f"the prompt has more than {MAX_ITEMS} sounds", "make it shorter")
        if self.ms > MAX_MS:
            raise PromptTooLong("the prompt lasts more than 10 minutes", "make it shorter")
