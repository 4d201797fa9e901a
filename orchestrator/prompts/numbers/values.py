"""Read the text of a `<say-as>` into a value. The forms are the same in every language.

After W3C's note "SSML 1.0 say-as attribute values" (26 May 2005), with ISO 8601 dates as the default.
An error never holds the text: it may be a variable's.
"""

import re
from calendar import monthrange
from typing import NamedTuple

MAX_TEXT = 64
"""Characters of any value."""
MAX_WHOLE = 12
"""Digits before the point: up to 999,999,999,999."""
MAX_FRACTION = 12
"""Digits after it."""


class Unreadable(Exception):
    """The text is no value of that kind. `what` and `mend` are safe to show."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend


class Number(NamedTuple):
    """A decimal number. `fraction` are the digits after the point, as they were written."""

    negative: bool
    whole: int
    fraction: str = ""


class Money(NamedTuple):
    """An amount. `fraction` has 0 to 2 digits and does not end in 0; `currency` is of ISO 4217."""

    negative: bool
    whole: int
    fraction: str
    currency: str


class Date(NamedTuple):
    """A date of the Gregorian calendar, or a part of one; a part that is not said is None."""

    year: int | None = None
    month: int | None = None
    day: int | None = None


class Time(NamedTuple):
    """A time of day.

    `clock` is 12 or 24. With 24 it is to be said by that clock. With 12, `hour` (0 to 23) is said with the
    part of the day, unless that is not `known`: then it is 1 to 12.
    """

    hour: int
    minute: int
    second: int | None = None
    clock: int = 12
    known: bool = True


_WHOLE = r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)"
_NUMBER = re.compile(rf"(?P<sign>[+\-\u2212])?\s*(?P<whole>{_WHOLE})(?:\.(?P<fraction>[0-9]+))?")
_ORDINAL = re.compile(rf"(?:第\s*)?(?P<whole>{_WHOLE})(?:st|nd|rd|th)?", re.IGNORECASE)
_MONEY = re.compile(
    r"(?P<sign>[+\-\u2212])?\s*(?P<before>[A-Za-z]{3}|[$€£¥￥])?\s*(?P<inner>[+\-\u2212])?\s*"
    rf"(?P<whole>{_WHOLE})(?:\.(?P<fraction>[0-9]+))?\s*(?P<after>[A-Za-z]{{3}}|[$€£¥￥元])?"
)
CURRENCIES = ("USD", "EUR", "GBP", "CNY", "JPY")
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "￥": "CNY", "元": "CNY"}

_PARTS = re.compile(r"([0-9]{1,4})(?:([-/.])([0-9]{1,4})(?:\2([0-9]{1,4}))?)?")
_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
EXAMPLES = {
    "ymd": "2026-01-31", "mdy": "01/31/2026", "dmy": "31.01.2026", "ym": "2026-01", "my": "01/2026",
    "md": "01/31", "dm": "31.01", "y": "2026", "m": "1", "d": "31",
}  # fmt: skip
"""Each format of a date, and a date in it."""

_TIME = re.compile(r"([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2}))?)?(?:\s*([ap])\.?m\.?)?", re.IGNORECASE)
TIME_FORMATS = ("hms12", "hms24")


def number(text: str) -> Number:
    """Read `1234`, `-5`, `3.14`, `1,234.5`. Raises `Unreadable`."""
    match = _NUMBER.fullmatch(_short(text))
    if match is None:
        raise Unreadable("no number", 'write it such as "1234", "-5" or "3.14"')
    fraction = match["fraction"] or ""
    if len(fraction) > MAX_FRACTION:
        raise Unreadable(f"a number of more than {MAX_FRACTION} digits after the point", "round it")
    return Number(_negative(match["sign"]), _whole(match["whole"]), fraction)


def ordinal(text: str) -> int:
    """Read `3`, `3rd` or `第3`. Raises `Unreadable`."""
    match = _ORDINAL.fullmatch(_short(text))
    if match is None:
        raise Unreadable("no ordinal number", 'write it such as "3" or "3rd"')
    whole = _whole(match["whole"])
    if not whole:
        raise Unreadable("no ordinal number", "begin at 1")
    return whole


def money(text: str, yen_sign: str) -> Money:
    """Read `USD 12.50`, `12.50 USD`, `$12.50`, `-$5`, `12.5元`; a bare ¥ means `yen_sign`.

    Raises `Unreadable`.
    """
    match = _MONEY.fullmatch(_short(text))
    if match is None or (match["sign"] and match["inner"]):
        raise Unreadable("no amount", 'write it such as "USD 12.50" or "$12.50"')
    names = [name for name in (match["before"], match["after"]) if name]
    if len(names) != 1:
        raise Unreadable("an amount without one currency", 'write it such as "USD 12.50" or "$12.50"')
    currency = yen_sign if names[0] == "¥" else _SIGNS.get(names[0], names[0].upper())
    if currency not in CURRENCIES:
        raise Unreadable("an amount of an unknown currency", f"use one of {', '.join(CURRENCIES)}")
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > 2:
        raise Unreadable("an amount of more than 2 digits after the point", "round it")
    return Money(_negative(match["sign"] or match["inner"]), _whole(match["whole"]), fraction, currency)


def date(text: str, form: str | None) -> Date:
    """Read `2026-01-31` (or with / or .), or what `form`, a key of `EXAMPLES`, says. Raises `Unreadable`."""
    if form is None:
        form = "ymd"
    if form not in EXAMPLES:
        raise Unreadable("a date with an unknown format", f"use one of {', '.join(EXAMPLES)}")
    short = _short(text)
    basic = _BASIC.fullmatch(short) if form == "ymd" else None
    match = basic or _PARTS.fullmatch(short)
    found = (
        [part for index, part in enumerate(match.groups()) if part and (basic or index != 1)] if match else []
    )
    if len(found) != len(form):
        raise Unreadable(f"no date in the format {form}", f'write it such as "{EXAMPLES[form]}"')
    parts = dict(zip(form, found, strict=True))
    if len(parts.get("y", "0000")) != 4:
        raise Unreadable("a date whose year has not four digits", "write all four")
    result = Date(*(int(parts[name]) if name in parts else None for name in "ymd"))
    year, month, day = result
    if year == 0 or (month is not None and not 1 <= month <= 12):
        raise Unreadable("no date in the calendar", "correct it")
    # 2000 was a leap year: without a year, 29 February is a date.
    last = 31 if month is None else monthrange(year or 2000, month)[1]
    if day is not None and not 1 <= day <= last:
        raise Unreadable("no date in the calendar", "correct it")
    return result


def time(text: str, form: str | None) -> Time:
    """Read `14:05`, `14:05:10`, `2:05pm`, `2 p.m.`.

    Without a format the 24 hours are read, and said with the part of the day. `hms12` reads 1 to 12, also
    without am or pm; `hms24` is said by that clock. Raises `Unreadable`.
    """
    if form is not None and form not in TIME_FORMATS:
        raise Unreadable("a time with an unknown format", f"use one of {', '.join(TIME_FORMATS)}")
    match = _TIME.fullmatch(_short(text))
    if match is None or not (match[2] or match[4]):
        raise Unreadable("no time", 'write it such as "14:05" or "2:05pm"')
    hour, minute = int(match[1]), int(match[2] or 0)
    second = int(match[3]) if match[3] else None
    half = (match[4] or "").lower()
    twelve = bool(half) or form == "hms12"
    low, high = (1, 12) if twelve else (0, 23)
    if not low <= hour <= high or minute > 59 or (second or 0) > 59 or (half and form == "hms24"):
        raise Unreadable("no time of the day", "correct it")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    known = bool(half) or form != "hms12"
    return Time(hour, minute, second, 24 if form == "hms24" else 12, known)


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Unreadable(f"a text of more than {MAX_TEXT} characters", "make it shorter")
    return text.strip()


def _negative(sign: str | None) -> bool:
    return sign is not None and sign != "+"


def _whole(digits: str) -> int:
    plain = digits.replace(",", "").lstrip("0")
    if len(plain) > MAX_WHOLE:
        raise Unreadable(f"a number of more than {MAX_WHOLE} digits before the point", "make it smaller")
    return int(plain or "0")
