"""What a receiver's answer means, and when to try again.

    answer                       what follows
    2xx                          Delivered
    410                          Stop: nothing more of this job goes there
    429, 503 with Retry-After    again when the receiver says (1 s to 24 h); uses up no attempt for a day
    anything else                again after the next step of BACKOFF, lengthened by up to a fifth
    … at the tenth attempt       Dead: kept for an operator to replay; never sooner than LAST after the event

"Anything else" is every other status, redirects among them (they are never followed: a redirect could lead
to a private network, and would carry the signature to a stranger), time-outs, connection errors and refused
addresses.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from msgspec import Struct

Random = Callable[[], float]
"""Uniform in [0, 1)."""

BACKOFF = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0)
"""Seconds to wait after the first, second, … failed attempt."""
JITTER = 0.2
RETRY_AFTER_FLOOR = 1.0
RETRY_AFTER_CEILING = 86400.0
LAST = 90_000.0
"""Seconds from the event until the last attempt at the least: a receiver that is down for a day misses
nothing."""
CEILING = 86400.0
PATIENCE = 86400.0
"""How long (seconds from the event) a receiver may put an event off without using up its attempts."""


class Answered(Struct, frozen=True):
    """The receiver answered with `status`."""

    status: int
    retry_after: str | None = None


class Failed(Struct, frozen=True):
    """No answer: time-out, connection error, refused address."""

    reason: str


Response = Answered | Failed


class Delivered(Struct, frozen=True):
    """The receiver has it."""


class RetryAt(Struct, frozen=True):
    """Try again at `at` (seconds since the epoch); `attempts` have then been used up."""

    at: float
    attempts: int
    reason: str


class Dead(Struct, frozen=True):
    """All attempts are used up."""

    attempts: int
    reason: str


class Stop(Struct, frozen=True):
    """The receiver wants nothing more of this job."""

    reason: str


Verdict = Delivered | RetryAt | Dead | Stop


def decide(attempts: int, age: float, response: Response, now: float, random: Random) -> Verdict:
    """What becomes of a delivery after `response`.

    `attempts` were used up before this one; `age` is seconds since the event, `now` since the epoch.
    """
    if isinstance(response, Failed):
        return _later(attempts + 1, response.reason, age, now, random)
    status = response.status
    if 200 <= status < 300:
        return Delivered()
    if status == 410:
        return Stop("the receiver answered 410 Gone")
    if status in (429, 503) and response.retry_after is not None:
        wait = parse_retry_after(response.retry_after, now)
        if wait is not None and age < PATIENCE:
            wait = min(max(wait, RETRY_AFTER_FLOOR), RETRY_AFTER_CEILING)
            return RetryAt(now + wait, attempts, f"the receiver answered {status} with Retry-After")
    if 300 <= status < 400:
        return _later(
            attempts + 1, f"the receiver answered {status}; redirects are not followed", age, now, random
        )
    return _later(attempts + 1, f"the receiver answered {status}", age, now, random)


def put_back(attempts: int, reason: str, age: float, now: float, random: Random) -> RetryAt | None:
    """The next try of a delivery whose receiver is known to be down, as if this one had been made.

    None when it is the last: an event is never given up without a real attempt.
    """
    verdict = _later(attempts + 1, reason, age, now, random)
    return verdict if isinstance(verdict, RetryAt) else None


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, from a Retry-After header (RFC 9110, 10.2.3): seconds or an HTTP date."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
        # HTTP dates are GMT by definition, also where a sloppy one does not say so.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _later(attempts: int, reason: str, age: float, now: float, random: Random) -> RetryAt | Dead:
    if attempts > len(BACKOFF):
        return Dead(attempts, reason)
    wait = BACKOFF[attempts - 1] * (1.0 + JITTER * random())
    if attempts == len(BACKOFF):
        wait = min(max(wait, LAST - age), CEILING)
    return RetryAt(now + wait, attempts, reason)
