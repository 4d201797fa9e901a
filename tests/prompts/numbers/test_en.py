"""American English: the words, and that they mean the value again."""

from datetime import date as calendar_date
from datetime import time as clock_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.prompts import load_library, packaged_root
from orchestrator.prompts.numbers import RULES, values
from orchestrator.prompts.numbers.en import MONTHS, ORDINALS, SMALL, TENS
from orchestrator.prompts.numbers.values import Money, Number, Time

EN = RULES["en"]
RECORDED = frozenset(load_library([packaged_root()]).languages["en"].numbers)
WHOLES = st.one_of(st.integers(0, 999_999_999_999), st.integers(0, 12_000))


def said(kind: str, text: str, form: str | None = None) -> str:
    words = {
        "cardinal": lambda: EN.cardinal(values.number(text)),
        "ordinal": lambda: EN.ordinal(values.ordinal(text)),
        "date": lambda: EN.date(values.date(text, form)),
        "time": lambda: EN.time(values.time(text, form)),
        "currency": lambda: EN.currency(values.money(text, EN.yen_sign)),
    }[kind]()
    assert RECORDED.issuperset(words), set(words) - RECORDED
    return " ".join(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "zero"),
        ("10", "ten"),
        ("11", "eleven"),
        ("20", "twenty"),
        ("21", "twenty-one"),
        ("99", "ninety-nine"),
        ("100", "one hundred"),
        ("101", "one hundred one"),
        ("110", "one hundred ten"),
        ("1000", "one thousand"),
        ("1206", "one thousand two hundred six"),
        ("2000", "two thousand"),
        ("10010", "ten thousand ten"),
        ("20000", "twenty thousand"),
        ("100000", "one hundred thousand"),
        ("1000000", "one million"),
        ("100000001", "one hundred million one"),
        (
            "999999999999.99",
            "nine hundred ninety-nine billion nine hundred ninety-nine million "
            "nine hundred ninety-nine thousand nine hundred ninety-nine point nine nine",
        ),
        ("-5", "minus five"),
        ("3.14", "three point one four"),
        ("0.05", "zero point zero five"),
    ],
)
def test_cardinals(text: str, words: str) -> None:
    assert said("cardinal", text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1", "first"),
        ("2", "second"),
        ("3rd", "third"),
        ("12", "twelfth"),
        ("20", "twentieth"),
        ("21", "twenty-first"),
        ("31", "thirty-first"),
        ("45", "forty fifth"),
        ("100", "one hundredth"),
        ("101", "one hundred first"),
        ("1000", "one thousandth"),
        ("21000", "twenty-one thousandth"),
    ],
)
def test_ordinals(text: str, words: str) -> None:
    assert said("ordinal", text) == words


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("2026-01-05", None, "January fifth twenty twenty-six"),
        ("2000-02-29", None, "February twenty-ninth two thousand"),
        ("2005-12-31", None, "December thirty-first two thousand five"),
        ("1905-03-01", None, "March first nineteen oh five"),
        ("1900-10-10", None, "October tenth nineteen hundred"),
        ("1066-10-14", None, "October fourteenth ten sixty-six"),
        ("0800-12-25", None, "December twenty-fifth eight hundred"),
        ("2010", "y", "twenty ten"),
        ("5/6", "md", "May sixth"),
        ("5/6", "dm", "June fifth"),
        ("2026-11", "ym", "November twenty twenty-six"),
    ],
)
def test_dates(text: str, form: str | None, words: str) -> None:
    assert said("date", text, form) == words


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("14:05", None, "two oh five p.m."),
        ("1:00", None, "one a.m."),
        ("12:00", None, "twelve noon"),
        ("0:00", None, "twelve midnight"),
        ("0:05", None, "twelve oh five a.m."),
        ("12:30", None, "twelve thirty p.m."),
        ("2pm", None, "two p.m."),
        ("7:15:09", None, "seven fifteen a.m. and nine seconds"),
        ("7:15:01", None, "seven fifteen a.m. and one second"),
        ("1:00", "hms12", "one o'clock"),
        ("1:10", "hms12", "one ten"),
        ("14:00", "hms24", "fourteen hundred"),
        ("14:05", "hms24", "fourteen oh five"),
        ("0:30", "hms24", "zero thirty"),
    ],
)
def test_times(text: str, form: str | None, words: str) -> None:
    assert said("time", text, form) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.01 USD", "one dollar and one cent"),
        ("USD 0.99", "ninety-nine cents"),
        ("$0", "zero dollars"),
        ("$12.50", "twelve dollars and fifty cents"),
        ("-$5", "minus five dollars"),
        ("1 EUR", "one euro"),
        ("2.02 EUR", "two euros and two cents"),
        ("£1.01", "one pound and one penny"),
        ("£0.50", "fifty pence"),
        ("CNY 1234.05", "one thousand two hundred thirty-four point zero five yuan"),
        ("JPY 1000", "one thousand yen"),
        ("¥12", "twelve yen"),
    ],
)
def test_amounts(text: str, words: str) -> None:
    assert said("currency", text) == words


# ── back again ────────────────────────────────────────────────────────────────────────────────────────


def meant(words: list[str]) -> int:
    """Return the whole number that cardinal words mean."""
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
    total = group = 0
    for word in words:
        if word in scales:
            total, group = total + group * scales[word], 0
        elif word.endswith(" hundred"):
            group += SMALL.index(word.split()[0]) * 100
        else:
            group += small(word)
    return total + group


def small(word: str) -> int:
    if word in SMALL:
        return SMALL.index(word)
    tens, _, one = word.partition("-")
    return TENS.index(tens) * 10 + (SMALL.index(one) if one else 0)


@given(st.booleans(), WHOLES, st.text("0123456789", max_size=12))
def test_the_words_of_a_number_mean_it(negative: bool, whole: int, fraction: str) -> None:
    words = EN.cardinal(Number(negative, whole, fraction))
    assert RECORDED.issuperset(words)
    assert (words[0] == "minus") is negative
    front, *after = " | ".join(words[negative:]).split(" | point | ")
    assert meant(front.split(" | ")) == whole
    assert "".join(str(small(word)) for word in after[0].split(" | ")) == fraction if after else not fraction


@given(WHOLES.filter(bool))
def test_the_words_of_an_ordinal_mean_it(value: int) -> None:
    words = EN.ordinal(value)
    assert RECORDED.issuperset(words)
    last = words.pop()
    if last.endswith(("hundredth", "thousandth", "millionth", "billionth")):
        end = [last[:-2]]
        if end == ["hundred"]:
            end = [f"{words.pop()} hundred"]
    elif last.endswith("ieth"):
        end = [f"{last[:-4]}y"]
    else:
        tens, _, one = last.rpartition("-")
        one = SMALL[ORDINALS.index(one)]
        if not tens and words and words[-1] in TENS and one in SMALL[1:10]:
            tens = words.pop()
        end = [f"{tens}-{one}" if tens else one]
    assert meant([*words, *end]) == value


@given(st.dates())
def test_the_words_of_a_date_mean_it(day: calendar_date) -> None:
    month, rest, *year = EN.date(values.date(day.isoformat(), None))
    assert RECORDED.issuperset([month, rest, *year])
    assert MONTHS.index(month) == day.month
    assert EN.ordinal(day.day) == [rest]
    if year[-1] == "hundred":
        assert small(year[0]) * 100 == day.year
    elif len(year) > 1 and (year[1] == "oh" or (year[1] in SMALL[10:] or year[1].split("-")[0] in TENS)):
        if "hundred" in year[0]:
            assert meant(year) == day.year
        else:
            assert small(year[0]) * 100 + small(year[-1]) == day.year
    else:
        assert meant(year) == day.year


@given(st.times())
def test_the_words_of_a_time_mean_it(at: clock_time) -> None:
    words = EN.time(Time(at.hour, at.minute))
    assert RECORDED.issuperset(words)
    half = words.pop()
    hour, *minute = [small(word) for word in words if word != "oh"]
    if half in ("noon", "midnight"):
        assert (hour, at.minute, at.hour) == (12, 0, 12 if half == "noon" else 0)
    else:
        assert hour % 12 + 12 * (half == "p.m.") == at.hour
        assert (minute or [0]) == [at.minute]
    assert RECORDED.issuperset(EN.time(Time(at.hour, at.minute, at.second, clock=24)))


@given(st.booleans(), WHOLES, st.integers(0, 99), st.sampled_from(["USD", "EUR", "GBP", "CNY", "JPY"]))
def test_the_words_of_an_amount_mean_it(negative: bool, whole: int, cents: int, currency: str) -> None:
    words = EN.currency(Money(negative, whole, f"{cents:02}".rstrip("0"), currency))
    assert RECORDED.issuperset(words)
    if currency in ("CNY", "JPY"):
        assert words[-1] in ("yuan", "yen")
        assert words[:-1] == EN.cardinal(Number(negative, whole, f"{cents:02}".rstrip("0")))
        return
    assert words[: int(negative)] == ["minus"] * negative
    front, _, back = " | ".join(words[negative:]).partition(" | and | ")
    if whole or not cents:
        *number, unit = front.split(" | ")
        assert meant(number) == whole
        assert unit.endswith("s") is (whole != 1)
    else:
        back = front
    if cents:
        number_of_cents, unit = back.split(" | ")
        assert small(number_of_cents) == cents
        assert (unit in ("cent", "penny")) is (cents == 1)


def test_every_recorded_word_is_of_use() -> None:
    """And none is missing: what the rules say over a wide range is what the library has."""
    used = {word for n in range(10_000) for word in EN.cardinal(Number(n % 2 == 1, n, "5"))}
    used |= {word for n in range(1, 10_000) for word in EN.ordinal(n)}
    used |= {word for n in (10**6, 10**9) for word in (*EN.ordinal(n), *EN.cardinal(Number(False, n)))}
    used |= {word for n in range(1, 13) for word in EN.date(values.Date(None, n, 1))}
    for hour in range(24):
        for minute in (0, 5, 30):
            used |= set(EN.time(Time(hour, minute, minute)))
            used |= set(EN.time(Time(hour, minute)))
            used |= set(EN.time(Time(hour % 12 or 12, minute, known=False)))
            used |= set(EN.time(Time(hour, minute, clock=24)))
    for currency in values.CURRENCIES:
        for text in ("0", "1.01", "2.02"):
            used |= set(EN.currency(values.money(f"{currency} {text}", "JPY")))
    assert used == RECORDED
