"""A text as an engine gets it: one line of letters, with nothing that an engine takes for an order."""

import re
import unicodedata
from typing import Final

# Control characters, what is not assigned, half characters, private ones: no engine has a sound for them.
_UNSPOKEN: Final = frozenset(("Cc", "Cf", "Cn", "Cs", "Co", "Zl", "Zp"))
_SPACE: Final = re.compile(r"\s+")
# espeak-ng and Piper read [[…]] as phonemes. Nobody says brackets, so none goes through.
_ORDERS: Final = str.maketrans("[]{}<>\\|", "        ")


def clean(text: str) -> str:
    """The text in NFC, control characters and brackets as spaces, one space where there are several."""
    composed = unicodedata.normalize("NFC", text)
    spoken = "".join(" " if unicodedata.category(char) in _UNSPOKEN else char for char in composed)
    return _SPACE.sub(" ", spoken.translate(_ORDERS)).strip()


def says_something(text: str) -> bool:
    """Whether there is a letter, a digit or a sign with a name in it."""
    return any(unicodedata.category(char)[0] in "LN" or char in "%&+=@#$€£¥°" for char in text)
