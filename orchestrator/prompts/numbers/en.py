"""American English: "one thousand two hundred six", "March third, twenty twenty-six", "two oh five p.m."."""

from orchestrator.prompts.numbers.rules import Rules
from orchestrator.prompts.numbers.values import Date, Money, Number, Time

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
GROUPS = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
ORDINALS = (
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth",
)  # fmt: skip
MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
CURRENCIES = {
    "USD": ("dollar", "dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "CNY": ("yuan", "yuan", "", ""),
    "JPY": ("yen", "yen", "", ""),
}
"""One and many of the unit, and of its hundredth; without a hundredth the decimals are said."""


def cardinal(value: Number) -> list[str]:
    return [*_minus(value.negative), *whole(value.whole), *_decimals(value.fraction)]


def whole(value: int) -> list[str]:
    """0 to 999,999,999,999."""
    words = []
    for size, name in GROUPS:
        count, value = divmod(value, size)
        if count:
            words += [*_below_1000(count), name]
    return words + _below_1000(value) if value or not words else words


def ordinal(value: int) -> list[str]:
    words = whole(value)
    last = words[-1]
    if last in SMALL:
        words[-1] = ORDINALS[SMALL.index(last)]
    elif last in TENS:
        words[-1] = f"{last[:-1]}ieth"
    elif "-" in last:
        tens, _, one = last.partition("-")
        end = ORDINALS[SMALL.index(one)]
        # Only what a day of a month needs is recorded in one piece.
        words[-1:] = [f"{tens}-{end}"] if value % 100 <= 31 else [tens, end]
    elif " " in last:
        words[-1:] = [last.partition(" ")[0], "hundredth"]
    else:
        words[-1] = f"{last}th"
    return words


def date(value: Date) -> list[str]:
    words = []
    if value.month is not None:
        words.append(MONTHS[value.month])
    if value.day is not None:
        words += ordinal(value.day)
    if value.year is not None:
        words += _year(value.year)
    return words


def time(value: Time) -> list[str]:
    if value.clock == 24:
        words = [_below_100(value.hour)]
        words += ["hundred"] if not value.minute and value.second is None else _minute(value.minute, "zero")
        return words + _seconds(value.second)
    hour = _below_100(value.hour % 12 or 12)
    if not value.minute and value.second is None:
        if not value.known:
            return [hour, "o'clock"]
        if value.hour % 12 == 0:
            return [hour, "noon" if value.hour else "midnight"]
    words = [hour, *_minute(value.minute)]
    if value.known:
        words.append("p.m." if value.hour >= 12 else "a.m.")
    return words + _seconds(value.second)


def currency(value: Money) -> list[str]:
    one, many, small_one, small_many = CURRENCIES[value.currency]
    words = _minus(value.negative)
    if value.fraction and not small_one:
        return [*words, *whole(value.whole), *_decimals(value.fraction), many]
    cents = int(value.fraction.ljust(2, "0"))
    if value.whole or not cents:
        words += [*whole(value.whole), one if value.whole == 1 else many]
        if cents:
            words.append("and")
    if cents:
        words += [_below_100(cents), small_one if cents == 1 else small_many]
    return words


def _minus(negative: bool) -> list[str]:
    return ["minus"] if negative else []


def _decimals(digits: str) -> list[str]:
    return ["point", *(SMALL[int(digit)] for digit in digits)] if digits else []


def _below_100(value: int) -> str:
    if value < 20:
        return SMALL[value]
    tens, one = divmod(value, 10)
    return f"{TENS[tens]}-{SMALL[one]}" if one else TENS[tens]


def _below_1000(value: int) -> list[str]:
    hundreds, rest = divmod(value, 100)
    words = [f"{SMALL[hundreds]} hundred"] if hundreds else []
    if rest or not hundreds:
        words.append(_below_100(rest))
    return words


def _year(value: int) -> list[str]:
    """2026: twenty twenty-six; 2005: two thousand five; 1905: nineteen oh five; 1900: nineteen hundred."""
    century, rest = divmod(value, 100)
    if value < 1000 or (century % 10 == 0 and rest < 10):
        return whole(value)
    if not rest:
        return [_below_100(century), "hundred"]
    return [_below_100(century), *_minute(rest)]


def _minute(value: int, none: str = "") -> list[str]:
    """05: oh five; 00: nothing, or `none`."""
    if not value:
        return [none, none] if none else []
    return ["oh", SMALL[value]] if value < 10 else [_below_100(value)]


def _seconds(value: int | None) -> list[str]:
    if value is None:
        return []
    return ["and", _below_100(value), "second" if value == 1 else "seconds"]


RULES = Rules(cardinal, ordinal, date, time, currency)
