"""Languages that espeak-ng knows and nobody understands from it.

A recogniser wrote down none of 50 codes that espeak-ng had spoken in Mandarin; it has no words for most
characters of Cantonese, Hakka or Japanese and spells "Chinese letter" instead.
"""

from typing import Final

_UNFIT: Final = frozenset(("zh", "cmn", "yue", "hak", "wuu", "nan", "hsn", "gan", "cjy", "ja"))


def is_unfit_for_espeak(tag: str) -> bool:
    """Whether espeak-ng must not speak the language of this tag."""
    return tag.lower().partition("-")[0] in _UNFIT
