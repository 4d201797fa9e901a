"""How long to wait before connecting again. Pure: randomness comes in."""

from random import Random


def full_jitter(attempt: int, base: float, cap: float, random: Random) -> float:
    """Seconds before attempt number `attempt` (from 0): uniform in 0..min(cap, base * 2**attempt).

    Full jitter, so that many workers do not come back at one moment (AWS Architecture Blog,
    "Exponential Backoff and Jitter").
    """
    return random.uniform(0.0, min(cap, base * 2.0 ** min(attempt, 30)))


def stay_away(seconds: float, random: Random) -> float:
    """A wait of at least half of `seconds`: for a peer that must not be fought with."""
    return random.uniform(seconds / 2, seconds)
