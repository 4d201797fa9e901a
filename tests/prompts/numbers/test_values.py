"""What a `<say-as>` may hold, and what it is read as."""

from datetime import date as calendar_date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.prompts.numbers import values
from orchestrator.prompts.numbers.values import Date, Money, Number, Time, Unreadable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Number(False, 0)),
        ("007", Number(False, 7)),
        ("+5", Number(False, 5)),
        ("-5", Number(True, 5)),
        ("\u22125", Number(True, 5)),
        ("3.14", Number(False, 3, "14")),
        ("3.50", Number(False, 3, "50")),
        ("-0.5", Number(True, 0, "5")),
        ("1,234,567.8", Number(False, 1_234_567, "8")),
        ("999999999999.99", Number(False, 999_999_999_999, "99")),
    ],
)
def test_numbers_are_read_with_sign_decimals_and_commas(text: str, value: Number) -> None:
    assert values.number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "-", ".", ".5", "5.", "1e5", "0x1", "1_000", "1,23", "1,2345", "--5", "٣", "５", "½", "nan",
        "inf", "1 2", "9" * 13, "0." + "1" * 13, "1" * 10_000, "5; 6", "<1>",
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values.number(text)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("3rd", 3), ("11TH", 11), ("第3", 3), ("1,000", 1000)])
def test_ordinals_are_read_with_or_without_their_ending(text: str, value: int) -> None:
    assert values.ordinal(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "first", "rd", "1" * 13])
def test_what_is_no_ordinal_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values.ordinal(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("USD 12.50", Money(False, 12, "5", "USD")),
        ("usd12.5", Money(False, 12, "5", "USD")),
        ("$12.50", Money(False, 12, "5", "USD")),
        ("-$5", Money(True, 5, "", "USD")),
        ("$-5", Money(True, 5, "", "USD")),
        ("12.50 EUR", Money(False, 12, "5", "EUR")),
        ("12.05€", Money(False, 12, "05", "EUR")),
        ("£1,000.99", Money(False, 1000, "99", "GBP")),
        ("CNY 1234.05", Money(False, 1234, "05", "CNY")),
        ("¥12.5", Money(False, 12, "5", "CNY")),
        ("￥12", Money(False, 12, "", "CNY")),
        ("12.500元", Money(False, 12, "5", "CNY")),
        ("JPY 1000", Money(False, 1000, "", "JPY")),
    ],
)
def test_amounts_are_read_with_the_currency_before_or_after(text: str, value: Money) -> None:
    assert values.money(text, "CNY") == value


def test_a_bare_yen_sign_means_what_the_language_says() -> None:
    assert values.money("¥12", "JPY").currency == "JPY"


@pytest.mark.parametrize(
    "text",
    [
        "12.50",
        "$",
        "USD",
        "$12 EUR",
        "XYZ 1",
        "BTC 1",
        "1.005 USD",
        "USD USD 1",
        "-$-5",
        "$1.",
        "1 元元",
        "$" * 100,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values.money(text, "CNY")


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("2026-01-31", None, Date(2026, 1, 31)),
        ("20260131", None, Date(2026, 1, 31)),
        ("2026/1/31", "ymd", Date(2026, 1, 31)),
        ("1/31/2026", "mdy", Date(2026, 1, 31)),
        ("31.01.2026", "dmy", Date(2026, 1, 31)),
        ("2026-01", "ym", Date(2026, 1)),
        ("01/2026", "my", Date(2026, 1)),
        ("02/29", "md", Date(None, 2, 29)),
        ("29.02", "dm", Date(None, 2, 29)),
        ("2026", "y", Date(2026)),
        ("12", "m", Date(None, 12)),
        ("31", "d", Date(None, None, 31)),
        ("2000-02-29", None, Date(2000, 2, 29)),
    ],
)
def test_dates_are_read_by_their_format_and_iso_without_one(text: str, form: str | None, value: Date) -> None:
    assert values.date(text, form) == value


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("32 January", None), ("2026-02-30", None), ("1900-02-29", None), ("2026-13-01", None),
        ("2026-00-01", None), ("2026-01-00", None), ("0000-01-01", None), ("26-01-31", None),
        ("2026-01/31", None), ("2026-01", None), ("01/31", "ymd"), ("31/12", "md"), ("32", "d"), ("0", "m"),
        ("20260131", "dmy"), ("2026-01-31T00:00:00Z", None), ("2026-01-31", "iso"), ("2026-01-31", ""),
        ("today", None), ("", None), ("2" * 100, "y"), ("2026-01-31-01", None),
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str, form: str | None) -> None:
    with pytest.raises(Unreadable):
        values.date(text, form)


@given(st.dates(min_value=calendar_date(1, 1, 1)))
def test_every_day_of_the_calendar_is_read(day: calendar_date) -> None:
    assert values.date(day.isoformat(), None) == Date(day.year, day.month, day.day)
    assert values.date(f"{day.day}/{day.month}/{day.year:04}", "dmy") == Date(day.year, day.month, day.day)


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("14:05", None, Time(14, 5)),
        ("0:05", None, Time(0, 5)),
        ("14:05:10", None, Time(14, 5, 10)),
        ("2:05pm", None, Time(14, 5)),
        ("2 P.M.", None, Time(14, 0)),
        ("12am", None, Time(0, 0)),
        ("12:30 p.m.", None, Time(12, 30)),
        ("2:05", "hms12", Time(2, 5, known=False)),
        ("2:05 am", "hms12", Time(2, 5)),
        ("14:05", "hms24", Time(14, 5, clock=24)),
    ],
)
def test_times_are_read_by_either_clock(text: str, form: str | None, value: Time) -> None:
    assert values.time(text, form) == value


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("25:61", None), ("24:00", None), ("12:60", None), ("1:5", None), ("14", None), ("14:05pm", None),
        ("0:05", "hms12"), ("13:00", "hms12"), ("2pm", "hms24"), ("12:00:60", None), ("1:00", "hms"),
        ("", None), ("noon", None), ("1:" * 40, None), ("１:00", None),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str, form: str | None) -> None:
    with pytest.raises(Unreadable):
        values.time(text, form)


@given(st.text(max_size=80), st.sampled_from([None, "ymd", "hms12", "d"]))
def test_any_text_is_either_read_or_unreadable_and_never_quoted(text: str, form: str | None) -> None:
    errors = []
    for read in (
        lambda: values.number(text),
        lambda: values.ordinal(text),
        lambda: values.money(text, "CNY"),
        lambda: values.date(text, form),
        lambda: values.time(text, form),
    ):
        try:
            read()
        except Unreadable as error:
            errors.append(f"{error.what} {error.mend}")
    # The same whatever the text is.
    assert not any(text in error for error in errors if len(text) > 8)
