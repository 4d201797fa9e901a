"""Whose turn it is: starts in proportion to each node's share, among those that could take one now.

Stride scheduling (Waldspurger and Weihl 1995): each start moves its node on by 1/share, and the node that is
farthest behind goes first. Nobody waits for a node that cannot take a call now, so no due job waits while any
node has room, and a node alone takes all. Pure.
"""

from collections.abc import Callable
from typing import Final

CREDIT: Final = 10.0
"""So many starts can a node be behind: one that was away does not take all when it is back."""


class _Place:
    __slots__ = ("at", "contends", "share", "wake")

    def __init__(
        self, share: Callable[[float], float], contends: Callable[[float], bool], wake: Callable[[], None]
    ) -> None:
        self.at = 0.0
        self.share = share
        self.contends = contends
        self.wake = wake


class Shares:
    """The nodes of one worker."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._front = 0.0

    def join(
        self,
        name: str,
        share: Callable[[float], float],
        contends: Callable[[float], bool],
        wake: Callable[[], None],
    ) -> None:
        """Add a node. `share(now)` is its part, above 0 while it contends; `contends(now)` whether it waits
        for a job and could start it at once; `wake` makes it look for one."""
        self._places[name] = _Place(share, contends, wake)

    def ahead(self, name: str, now: float) -> int:
        """How many nodes come before this one. They have been woken: let them look first."""
        if len(self._places) == 1:
            return 0
        mine = self._at(self._places[name], now)
        before = 0
        for other, place in self._places.items():
            if other != name and place.contends(now) and self._at(place, now) < mine:
                place.wake()
                before += 1
        return before

    def started(self, name: str, now: float) -> None:
        """The node has started a call."""
        place = self._places[name]
        share = place.share(now)
        if share > 0:
            began = self._at(place, now)
            self._front = max(self._front, began)
            place.at = began + 1 / share

    def wake(self, name: str) -> None:
        """Something has changed for a node: it should look again."""
        self._places[name].wake()

    def wake_others(self, name: str) -> None:
        """A job is due again that this node may not take."""
        for other, place in self._places.items():
            if other != name:
                place.wake()

    def _at(self, place: _Place, now: float) -> float:
        share = place.share(now)
        if share <= 0:
            return place.at
        place.at = max(place.at, self._front - CREDIT / share)
        return place.at
