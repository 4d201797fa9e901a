"""Language tags (BCP 47) and their fallback (RFC 4647, section 3.4, lookup)."""

import re
from collections.abc import Iterator

from orchestrator.prompts.errors import LanguageInvalid

# The shape of a tag, not its registry: subtags of 1 to 8 letters or digits, the first one of letters only.
_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
MAX_TAG = 35
"""RFC 5646, section 4.4.1: the length every implementation must support."""


def fallbacks(tag: str) -> Iterator[str]:
    """Yield the tag in lower case, then ever shorter ones: zh-hant-tw, zh-hant, zh.

    Raises `LanguageInvalid`.
    """
    low = tag.lower()
    if len(tag) > MAX_TAG or not tag.isascii() or not _TAG.fullmatch(low):
        raise LanguageInvalid("the language is no BCP 47 tag", 'write one such as "en" or "zh-CN"')
    subtags = low.split("-")
    while subtags:
        yield "-".join(subtags)
        subtags.pop()
        # A single letter only introduces what has just been cut off.
        if subtags and len(subtags[-1]) == 1:
            subtags.pop()
