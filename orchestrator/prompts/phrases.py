"""Which recorded phrase speaks a text: words, punctuation, and the longest match.

Words are compared without regard to case, white space, quotes, dashes and clause marks. The mark that
ends a sentence counts: no phrase runs over it unless the phrase was recorded with it inside. Chinese and
Japanese have no spaces; there each character is a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from orchestrator.prompts.playlist import Item

SENTENCE = "."
"""The token of a mark that ends a sentence: . ! ? … and their full-width forms."""
CLAUSE = ","
"""The token of a mark inside a sentence: , ; : dash and their full-width forms."""

_SENTENCE = ".!?。！？…"
_CLAUSE = ",;:，；：、—–"
_QUIET = "\"'“”‘’«»()\\[\\]{}¿¡‐\\-《》〈〉「」『』（）【】·"
_IDEOGRAPH = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PART = f"[^\\s{_SENTENCE}{_CLAUSE}{_QUIET}{_IDEOGRAPH}]+"
_TOKEN = re.compile(
    f"(?P<word>{_PART}(?:['’.\\-]{_PART})*)|(?P<one>[{_IDEOGRAPH}])|(?P<end>[{_SENTENCE}]+)|(?P<mark>[{_CLAUSE}])"
)


class Token(NamedTuple):
    """A word (or `SENTENCE`, or `CLAUSE`) in the form it is compared in, and where it stands."""

    form: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Split a text, which must be in NFC, into words and the marks that make a pause."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "end":
            form = SENTENCE
        elif kind == "mark":
            form = CLAUSE
        else:
            form = match.group().casefold().replace("’", "'")
        found.append(Token(form, match.start(), match.end()))
    return found


@lru_cache(maxsize=1024)
def literal_tokens(text: str) -> tuple[Token, ...]:
    """Do the same for a text that stands in a template, and keep the result: it comes with every job."""
    return tuple(tokens(text))


def composed(text: str) -> str:
    """Return the text in Unicode's normal form C, so that é is one character however it was typed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class PhraseTree:
    """The phrases of a language, word by word. Built when the library is loaded, then only read."""

    __slots__ = ("item", "next")

    def __init__(self) -> None:
        self.next: dict[str, PhraseTree] = {}
        self.item: Item | None = None

    def add(self, text: str, item: Item) -> bool:
        """Enter a phrase. False when it has no word at all."""
        forms = [token.form for token in tokens(composed(text)) if token.form != CLAUSE]
        while forms and forms[-1] == SENTENCE:
            forms.pop()
        while forms and forms[0] == SENTENCE:
            forms.pop(0)
        node = self
        for form in forms:
            node = node.next.setdefault(form, PhraseTree())
        node.item = item
        return node is not self

    def longest(self, words: Sequence[Token], start: int) -> tuple[Item, int] | None:
        """Return the longest phrase that begins at `start`, and the index after it."""
        node = self
        best = None
        for index in range(start, len(words)):
            form = words[index].form
            if form == CLAUSE:
                continue
            follower = node.next.get(form)
            if follower is None:
                break
            node = follower
            if node.item is not None:
                best = (node.item, index + 1)
        return best

    def reach(self, words: Sequence[Token], start: int) -> int:
        """Return the index of the first word from `start` on with which no phrase goes on."""
        node = self
        for index in range(start, len(words)):
            form = words[index].form
            if form != CLAUSE:
                follower = node.next.get(form)
                if follower is None:
                    return index
                node = follower
        return len(words)
