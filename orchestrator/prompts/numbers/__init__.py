"""Numbers, dates, times and amounts as words: what `<say-as>` reads, and the rules of each language.

A text is read into a value (`values`); a language's rules make the value a list of words, and each word
is a sound that was recorded (`[numbers]` of language.toml). No word list is downloaded or guessed: what
the rules can say is exactly what the library has.
"""

from collections.abc import Mapping

from orchestrator.prompts.numbers import en, zh
from orchestrator.prompts.numbers.rules import Rules as Rules
from orchestrator.prompts.tags import fallbacks

RULES: Mapping[str, Rules] = {"en": en.RULES, "zh": zh.RULES}
"""By the name that `rules` of language.toml gives."""


def rules_for(tag: str, name: str = "") -> Rules | None:
    """Return the rules of that name, else those of the tag or a wider one; None when there are none."""
    if name:
        return RULES.get(name)
    return next((RULES[low] for low in fallbacks(tag) if low in RULES), None)
