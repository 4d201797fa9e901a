"""Which events a connection wants: by name, and by the filters that it has set.

Source: mod_event_socket.c, listener_run's loop over `listener->filters`.
"""

import re
from collections.abc import Mapping

MAX_FILTERS = 200
MAX_PATTERN = 256


class Wishes:
    """The wishes of one connection."""

    def __init__(self) -> None:
        self._all = False
        self._names: set[str] = set()
        self._subclasses: set[str] = set()
        self._filters: list[tuple[str, str]] = []

    def ask(self, words: list[str]) -> bool:
        """Add names of events, `ALL`, or `CUSTOM` and subclasses. False when a word is no name."""
        custom = False
        for word in words:
            upper = word.upper()
            if upper == "ALL":
                self._all = True
            elif custom:
                self._subclasses.add(word)
            elif upper == "CUSTOM":
                custom = True
                self._names.add(upper)
            else:
                self._names.add(upper)
        return bool(words)

    def refuse(self, words: list[str]) -> None:
        """Take names away (`nixevent`)."""
        for word in words:
            self._names.discard(word.upper())
            if word.upper() == "ALL":
                self._names.clear()
                self._all = False

    def clear(self) -> None:
        """No event any more (`noevents`)."""
        self._all = False
        self._names.clear()
        self._subclasses.clear()

    def hears(self, name: str) -> bool:
        """Whether events of this name were asked for."""
        return self._all or name in self._names

    def add_filter(self, header: str, value: str) -> bool:
        """Let through only what fits this or another filter. False when there are too many."""
        if len(self._filters) >= MAX_FILTERS or len(value) > MAX_PATTERN:
            return False
        self._filters.append((header, value))
        return True

    def remove_filters(self, header: str, value: str) -> None:
        """Take filters of a header away, or only the one of this value; of `all` headers."""
        self._filters = [
            each
            for each in self._filters
            if header != "all" and (each[0] != header or (value and each[1] != value))
        ]

    def passes(self, fields: Mapping[str, str]) -> bool:
        """Whether an event fits the filters; without filters everything does."""
        if not self._filters:
            return True
        send = False
        for header, wanted in self._filters:
            value = fields.get(header)
            if value is None:
                continue
            positive = not wanted.startswith("-")
            if send and positive:
                continue
            if _fits(value, wanted.lstrip("+- ")):
                if not positive:
                    return False
                send = True
        return send


def _fits(value: str, wanted: str) -> bool:
    if len(wanted) > 1 and wanted.startswith("/"):
        pattern = wanted[1:].removesuffix("/")
        try:
            return re.search(pattern, value) is not None
        except re.error:
            return False
    return value.lower() == wanted.lower()
