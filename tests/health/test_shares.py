"""Shares: starts in proportion, and nobody waits for a node that could not start one."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.health.shares import CREDIT, Shares


class Field:
    """Nodes that all want every job; the one that nobody is ahead of takes it."""

    def __init__(self, **shares: float) -> None:
        self.shares = Shares()
        self.share = dict(shares)
        self.away: set[str] = set()
        self.woken: list[str] = []
        self.got = dict.fromkeys(shares, 0)
        for name in shares:
            self._join(name)

    def _join(self, name: str) -> None:
        self.shares.join(
            name,
            lambda now: self.share[name],
            lambda now: name not in self.away,
            lambda: self.woken.append(name),
        )

    def jobs(self, count: int) -> dict[str, int]:
        """Give out jobs, one by one. What each got of them."""
        before = dict(self.got)
        for _ in range(count):
            first = min(
                (name for name in self.share if name not in self.away),
                key=lambda name: self.shares.ahead(name, 0.0),
            )
            self.shares.started(first, 0.0)
            self.got[first] += 1
        return {name: self.got[name] - before[name] for name in self.got}


def test_jobs_go_by_weight() -> None:
    assert Field(a=3.0, b=1.0).jobs(400) == {"a": 300, "b": 100}
    assert Field(a=1.0, b=1.0, c=2.0).jobs(400) == {"a": 100, "b": 100, "c": 200}


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0.05, 20.0), min_size=1))
def test_for_any_shares_nobody_is_ever_more_than_a_call_off_its_part(shares: dict[str, float]) -> None:
    field = Field(**shares)
    whole = sum(shares.values())
    for n in range(1, 120):
        field.jobs(1)
        for name, share in shares.items():
            assert abs(field.got[name] - n * share / whole) <= len(shares)


def test_a_node_alone_takes_all_and_waits_for_nobody() -> None:
    field = Field(a=0.1)
    assert field.shares.ahead("a", 0.0) == 0
    assert field.jobs(50) == {"a": 50}
    assert field.woken == []


def test_while_one_is_away_the_others_take_all_and_it_does_not_catch_up_on_more_than_its_credit() -> None:
    field = Field(a=1.0, b=1.0)
    field.away.add("b")
    assert field.jobs(1000) == {"a": 1000, "b": 0}
    field.away.clear()
    after = field.jobs(200)
    assert after["a"] + after["b"] == 200
    assert 100 <= after["b"] <= 100 + CREDIT


def test_a_share_that_is_cut_counts_from_then_on() -> None:
    field = Field(a=1.0, b=1.0)
    field.jobs(100)
    field.share["a"] = 0.25
    assert field.jobs(500) == {"a": 100, "b": 400}


def test_whoever_is_ahead_is_woken_and_who_cannot_start_one_is_not() -> None:
    field = Field(a=1.0, b=1.0, c=1.0)
    field.shares.started("c", 0.0)
    field.away.add("b")
    assert field.shares.ahead("c", 0.0) == 1
    assert field.woken == ["a"]
    field.woken.clear()
    field.shares.wake_others("a")
    assert field.woken == ["b", "c"]
    field.shares.wake("a")
    assert field.woken == ["b", "c", "a"]


def test_a_node_that_gets_nothing_moves_nobody() -> None:
    field = Field(a=1.0, b=0.0)
    field.away.add("b")
    field.shares.started("b", 0.0)
    assert field.jobs(10) == {"a": 10, "b": 0}
