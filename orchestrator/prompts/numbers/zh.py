"""Mandarin: 一千二百零六, 二零二六年三月三日, 下午两点零五分, 十二元五角.

Two is 两 before 百 千 万 亿 and before what is counted, else 二. Short words are recorded together with what
they belong to (零五, 三点, 五日, 一元): a syllable is understood better so, and its tone is as it is spoken.
"""

from orchestrator.prompts.numbers.rules import Rules
from orchestrator.prompts.numbers.values import Date, Money, Number, Time

DIGITS = "零一二三四五六七八九"
FOREIGN = {"USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元"}


def cardinal(value: Number) -> list[str]:
    return [*_minus(value.negative), *_decimal(value.whole, value.fraction)]


def whole(value: int) -> list[str]:
    """0 to 999,999,999,999."""
    if not value:
        return ["零"]
    words: list[str] = []
    skipped = False
    for size, unit in ((10**8, "亿"), (10**4, "万"), (1, "")):
        section, value = divmod(value, size)
        if not section:
            skipped = True
            continue
        # A gap anywhere between two spoken digits is one 零.
        gap = bool(words) and (skipped or section < 1000)
        skipped = False
        if gap and section < 10 and not unit:
            return [*words, f"零{DIGITS[section]}"]
        if gap:
            words.append("零")
        if unit and section == 1:
            words.append(f"一{unit}")
        elif unit:
            words += [*(["两"] if section == 2 else _section(section, bool(words))), unit]
        else:
            words += _section(section, bool(words))
    return words


def ordinal(value: int) -> list[str]:
    return ["第", *whole(value)]


def date(value: Date) -> list[str]:
    words = []
    if value.year is not None:
        words += [*(DIGITS[int(digit)] for digit in str(value.year)), "年"]
    if value.month is not None:
        words.append(f"{_below_100(value.month)}月")
    if value.day is not None:
        day = _below_100(value.day)
        words += [f"{day}日"] if value.day <= 10 else [day, "日"]
    return words


def time(value: Time) -> list[str]:
    words = []
    hour = value.hour
    if value.clock == 12:
        if value.known:
            words.append(_part_of_day(hour))
        hour = hour - 12 if hour > 12 else hour
    words += [f"{'两' if hour == 2 else _below_100(hour)}点"] if hour <= 12 else [_below_100(hour), "点"]
    if value.minute or value.second is not None:
        words += [*_two_digits(value.minute), "分"]
    if value.second is not None:
        words += [*_two_digits(value.second), "秒"]
    return words


def currency(value: Money) -> list[str]:
    words = _minus(value.negative)
    if value.currency != "CNY":
        unit = FOREIGN[value.currency]
        if value.fraction:
            return [*words, *_decimal(value.whole, value.fraction), unit]
        return [*words, *_counted(value.whole), unit]
    jiao, fen = (int(digit) for digit in value.fraction.ljust(2, "0"))
    if value.whole or not value.fraction:
        words += _yuan(value.whole)
    if jiao:
        words.append(f"{_of(jiao)}角")
    elif fen and value.whole:
        words.append("零")
    if fen:
        words.append(f"{_of(fen)}分")
    return words


def _minus(negative: bool) -> list[str]:
    return ["负"] if negative else []


def _decimal(value: int, digits: str) -> list[str]:
    words = whole(value)
    if digits:
        words[-1:] = [f"{words[-1]}点"] if value <= 12 else [words[-1], "点"]
    return words + [DIGITS[int(digit)] for digit in digits]


def _yuan(value: int) -> list[str]:
    words = _counted(value)
    last = words.pop()
    # Recorded with 元 are the last digit, or the last 十 百 千 万 亿 with what counts it.
    if len(last) > 1 and last[-1] in DIGITS:
        words.append(last[:-1])
        last = last[-1]
    return [*words, f"{last}元"]


def _counted(value: int) -> list[str]:
    return ["两"] if value == 2 else whole(value)


def _of(digit: int) -> str:
    return "两" if digit == 2 else DIGITS[digit]


def _section(value: int, inside: bool) -> list[str]:
    """1 to 9999. `inside`: something was said before, so that ten is 一十."""
    thousands, rest = divmod(value, 1000)
    hundreds, rest = divmod(rest, 100)
    words = []
    if thousands:
        words.append(f"{_of(thousands)}千")
    if hundreds:
        words.append(f"{_of(hundreds)}百")
    if not rest:
        return words
    if words and rest < 10:
        return [*words, f"零{DIGITS[rest]}"]
    if words and not hundreds:
        words.append("零")
    last = _below_100(rest)
    words.append(f"一{last}" if 10 <= rest < 20 and (words or inside) else last)
    return words


def _below_100(value: int) -> str:
    tens, one = divmod(value, 10)
    if not tens:
        return DIGITS[one]
    return ("" if tens == 1 else DIGITS[tens]) + "十" + (DIGITS[one] if one else "")


def _two_digits(value: int) -> list[str]:
    return [f"零{DIGITS[value]}"] if 0 < value < 10 else [_below_100(value)]


def _part_of_day(hour: int) -> str:
    for first, name in ((18, "晚上"), (13, "下午"), (12, "中午"), (6, "上午")):
        if hour >= first:
            return name
    return "凌晨"


RULES = Rules(cardinal, ordinal, date, time, currency, telephone={"1": "幺"}, yen_sign="CNY")
