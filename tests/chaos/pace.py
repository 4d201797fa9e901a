"""How fast a PBX called, by the INVITEs that reached its callees."""

from __future__ import annotations

from collections.abc import Iterable


def most_in_a_second(times: Iterable[float]) -> int:
    """The most that lie within any one second, wherever it begins."""
    ordered = sorted(times)
    first = most = 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
