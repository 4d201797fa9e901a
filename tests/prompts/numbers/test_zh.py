"""Mandarin: the words, and that they mean the value again."""

from datetime import date as calendar_date
from datetime import time as clock_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.prompts import load_library, packaged_root
from orchestrator.prompts.numbers import RULES, values
from orchestrator.prompts.numbers.values import Date, Money, Number, Time

ZH = RULES["zh"]
RECORDED = frozenset(load_library([packaged_root()]).languages["zh"].numbers)
WHOLES = st.one_of(st.integers(0, 999_999_999_999), st.integers(0, 120_000))
DIGITS = "零一二三四五六七八九"


def said(kind: str, text: str, form: str | None = None) -> str:
    words = {
        "cardinal": lambda: ZH.cardinal(values.number(text)),
        "ordinal": lambda: ZH.ordinal(values.ordinal(text)),
        "date": lambda: ZH.date(values.date(text, form)),
        "time": lambda: ZH.time(values.time(text, form)),
        "currency": lambda: ZH.currency(values.money(text, ZH.yen_sign)),
    }[kind]()
    assert RECORDED.issuperset(words), set(words) - RECORDED
    return "".join(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "零"),
        ("2", "二"),
        ("10", "十"),
        ("11", "十一"),
        ("20", "二十"),
        ("22", "二十二"),
        ("100", "一百"),
        ("101", "一百零一"),
        ("110", "一百一十"),
        ("112", "一百一十二"),
        ("200", "两百"),
        ("222", "两百二十二"),
        ("1000", "一千"),
        ("1001", "一千零一"),
        ("1010", "一千零一十"),
        ("1206", "一千两百零六"),
        ("2000", "两千"),
        ("2200", "两千两百"),
        ("10000", "一万"),
        ("10010", "一万零一十"),
        ("10110", "一万零一百一十"),
        ("11000", "一万一千"),
        ("20000", "两万"),
        ("100000", "十万"),
        ("120000", "十二万"),
        ("220000", "二十二万"),
        ("1100000", "一百一十万"),
        ("10010000", "一千零一万"),
        ("12003000", "一千两百万三千"),
        ("12000300", "一千两百万零三百"),
        ("100000000", "一亿"),
        ("100000001", "一亿零一"),
        ("100001000", "一亿零一千"),
        ("100010000", "一亿零一万"),
        ("110000000", "一亿一千万"),
        ("200000000", "两亿"),
        ("999999999999.99", "九千九百九十九亿九千九百九十九万九千九百九十九点九九"),
        ("-5", "负五"),
        ("3.14", "三点一四"),
        ("2.5", "二点五"),
        ("0.05", "零点零五"),
    ],
)
def test_cardinals(text: str, words: str) -> None:
    assert said("cardinal", text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("1", "第一"), ("2", "第二"), ("10", "第十"), ("第12", "第十二"), ("110", "第一百一十")],
)
def test_ordinals(text: str, words: str) -> None:
    assert said("ordinal", text) == words


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("2026-01-05", None, "二零二六年一月五日"),
        ("2000-02-29", None, "二零零零年二月二十九日"),
        ("1905-12-31", None, "一九零五年十二月三十一日"),
        ("10/2", "md", "十月二日"),
        ("10/2", "dm", "二月十日"),
        ("2026-11", "ym", "二零二六年十一月"),
        ("2010", "y", "二零一零年"),
        ("12", "d", "十二日"),
    ],
)
def test_dates(text: str, form: str | None, words: str) -> None:
    assert said("date", text, form) == words


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("14:05", None, "下午两点零五分"),
        ("1:00", None, "凌晨一点"),
        ("12:00", None, "中午十二点"),
        ("0:05", None, "凌晨零点零五分"),
        ("9:30", None, "上午九点三十分"),
        ("20:02", None, "晚上八点零二分"),
        ("2:05pm", None, "下午两点零五分"),
        ("12am", None, "凌晨零点"),
        ("7:15:09", None, "上午七点十五分零九秒"),
        ("2:00", "hms12", "两点"),
        ("14:00", "hms24", "十四点"),
        ("22:10", "hms24", "二十二点十分"),
        ("2:00:30", "hms24", "两点零分三十秒"),
    ],
)
def test_times(text: str, form: str | None, words: str) -> None:
    assert said("time", text, form) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CNY 1234.05", "一千两百三十四元零五分"),
        ("¥12.5", "十二元五角"),
        ("12.55元", "十二元五角五分"),
        ("0.99 CNY", "九角九分"),
        ("0.05 CNY", "五分"),
        ("0 CNY", "零元"),
        ("1 CNY", "一元"),
        ("2.22 CNY", "两元两角两分"),
        ("-5 CNY", "负五元"),
        ("CNY 110", "一百一十元"),
        ("1.01 USD", "一点零一美元"),
        ("$2", "两美元"),
        ("$2.50", "二点五美元"),
        ("EUR 0.99", "零点九九欧元"),
        ("GBP 10", "十英镑"),
        ("JPY 2000", "两千日元"),
    ],
)
def test_amounts(text: str, words: str) -> None:
    assert said("currency", text) == words


# ── back again ────────────────────────────────────────────────────────────────────────────────────────


def meant(text: str) -> int:
    """Return the whole number that Chinese numerals mean."""
    total = section = digit = 0
    for character in text:
        if character in DIGITS:
            digit = DIGITS.index(character)
        elif character == "两":
            digit = 2
        elif character in "十百千":
            section += (digit or 1) * 10 ** ("十百千".index(character) + 1)
            digit = 0
        else:
            total += (section + digit) * {"万": 10**4, "亿": 10**8}[character]
            section = digit = 0
    return total + section + digit


@given(st.booleans(), WHOLES, st.text("0123456789", max_size=12))
def test_the_words_of_a_number_mean_it(negative: bool, whole: int, fraction: str) -> None:
    words = ZH.cardinal(Number(negative, whole, fraction))
    assert RECORDED.issuperset(words)
    text = "".join(words)
    assert text.startswith("负") is negative
    front, point, back = text.removeprefix("负").partition("点")
    assert meant(front) == whole
    assert "".join(str(DIGITS.index(digit)) for digit in back) == fraction
    assert bool(point) is bool(fraction)
    assert "零零" not in front
    assert whole == 0 or not front.endswith("零")


@given(WHOLES.filter(bool))
def test_the_words_of_an_ordinal_mean_it(value: int) -> None:
    first, *rest = ZH.ordinal(value)
    assert (first, meant("".join(rest))) == ("第", value)


@given(st.dates())
def test_the_words_of_a_date_mean_it(day: calendar_date) -> None:
    words = ZH.date(Date(day.year, day.month, day.day))
    assert RECORDED.issuperset(words)
    year, _, rest = "".join(words).partition("年")
    month, _, days = rest.partition("月")
    assert int("".join(str(DIGITS.index(digit)) for digit in year)) == day.year
    assert (meant(month), meant(days.removesuffix("日"))) == (day.month, day.day)


@given(st.times(), st.sampled_from([12, 24]))
def test_the_words_of_a_time_mean_it(at: clock_time, clock: int) -> None:
    words = ZH.time(Time(at.hour, at.minute, at.second, clock))
    assert RECORDED.issuperset(words)
    text = "".join(words)
    part = text[:2] if clock == 12 else ""
    hour, _, rest = text.removeprefix(part).partition("点")
    minute, _, second = rest.partition("分")
    assert meant(hour) + 12 * (part in ("下午", "晚上")) == at.hour
    assert (meant(minute), meant(second.removesuffix("秒"))) == (at.minute, at.second)


@given(st.booleans(), WHOLES, st.integers(0, 99), st.sampled_from(values.CURRENCIES))
def test_the_words_of_an_amount_mean_it(negative: bool, whole: int, cents: int, currency: str) -> None:
    fraction = f"{cents:02}".rstrip("0")
    words = ZH.currency(Money(negative, whole, fraction, currency))
    assert RECORDED.issuperset(words)
    text = "".join(words)
    assert text.startswith("负") is negative
    text = text.removeprefix("负")
    if currency != "CNY":
        number = text.removesuffix({"USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元"}[currency])
        front, _, back = number.partition("点")
        assert meant(front) == whole
        assert "".join(str(DIGITS.index(digit)) for digit in back) == fraction
        return
    yuan, mark, small = text.rpartition("元")
    assert (meant(yuan) if mark else 0) == whole
    jiao, mark, fen = small.rpartition("角")
    assert (meant(jiao) * 10 if mark else 0) + meant(fen.removesuffix("分")) == cents


def test_every_recorded_word_is_of_use() -> None:
    """And none is missing: what the rules say over a wide range is what the library has."""
    used = {word for n in range(30_000) for word in ZH.cardinal(Number(n % 2 == 1, n, "5"))}
    used |= {word for n in (10**8, 2 * 10**8) for word in ZH.ordinal(n)} | set(ZH.telephone.values())
    used |= {word for n in range(1, 13) for word in ZH.date(Date(2026, n, n))}
    used |= {word for n in range(24) for word in ZH.time(Time(n, n, n))}
    for currency in values.CURRENCIES:
        for n in range(100):
            used |= set(ZH.currency(values.money(f"{currency} {n}.{n:02}", "JPY")))
            used |= set(ZH.currency(values.money(f"{currency} {n // 10}", "JPY")))
    for n in (*range(100, 10_000, 10), 10_000, 30_000, 10**8, 3 * 10**8):
        used |= set(ZH.currency(Money(False, n, "", "CNY")))
    assert used == RECORDED
