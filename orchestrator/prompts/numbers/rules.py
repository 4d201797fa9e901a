"""What a language's rules are."""

from collections.abc import Callable, Mapping

import msgspec

from orchestrator.prompts.numbers.values import Date, Money, Number, Time


class Rules(msgspec.Struct, frozen=True):
    """Pure functions from a value, any of them, to the words that are spoken one after the other.

    `telephone` maps a digit to the word that stands for it in a telephone number, where that is not the
    digit's usual sound. `yen_sign` is the currency that a bare ¥ means.
    """

    cardinal: Callable[[Number], list[str]]
    ordinal: Callable[[int], list[str]]
    date: Callable[[Date], list[str]]
    time: Callable[[Time], list[str]]
    currency: Callable[[Money], list[str]]
    telephone: Mapping[str, str] = {}
    yen_sign: str = "JPY"
