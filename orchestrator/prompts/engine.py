"""What a speech engine is to a prompt: a text in, a sound that the PBX can play out.

The engines themselves live in `orchestrator.speech`; a prompt knows this protocol alone.
"""

from typing import Protocol

import msgspec

from orchestrator.prompts.playlist import Item


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """One text to be spoken in one go. It may hold a job's variables, so it has no `repr`."""

    text: str
    language: str
    """A BCP 47 tag, such as `en` or `zh-CN`."""
    voice: str | None = None
    """`<voice name>`: the engine's own name of it."""
    rate: float = 1.0
    """`<prosody rate>`: 0.5 to 2, 1 is as usual."""
    pitch: float = 0.0
    """`<prosody pitch>` in semitones, -12 to 12."""
    volume: float = 0.0
    """`<prosody volume>` in dB, -20 to 6."""

    def __repr__(self) -> str:
        return "Utterance(…)"


class Engine(Protocol):
    """Speaks free text. Never given a code."""

    def speak(self, utterance: Utterance) -> Item:
        """The sound that speaks it, rendered now or found in the cache; the PBX can read it when this
        returns. Blocks, for up to some seconds.

        Raises `EngineMissing` where no acceptable engine speaks the language or has the voice, and
        `EngineFailed` when it could not be rendered; neither shows the text.
        """
        ...
