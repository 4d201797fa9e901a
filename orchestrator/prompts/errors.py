"""Errors of the prompts room.

PromptError
├── LibraryError         a file of the sound library is missing or wrong
├── LanguageInvalid      a language tag is malformed
├── TemplateNotFound     no template of that name in that language
├── VariablesInvalid     a variable cannot be given to a template
├── TemplateFailed       the template broke off: a variable without a value, a forbidden or endless operation
├── SsmlInvalid          what the template made is not the SSML we speak
├── SoundMissing         a text or a sound that nobody has recorded
├── EngineMissing        no speech engine for a free text's language or voice
├── EngineFailed         the speech engine did not render a text
└── PromptTooLong        more than a prompt may hold

A message says what, where, and the mend. It never holds a code, or the value of a variable: a text is
quoted only if it stands in the template itself. No error keeps another one as its context, for that one
might hold what this one must not.
"""

from typing import Self


class PromptError(Exception):
    """Something about a prompt. `what`, `mend` and `where` are safe to show to anybody."""

    def __init__(self, what: str, mend: str, where: str = "", *, at: int = -1, lines: int = -1) -> None:
        self.what = what
        self.mend = mend
        self.where = where
        self.at = at
        """Byte offset in the rendered document of the tag in question, -1 when there is none."""
        self.lines = lines
        """-1: the fault is in that tag. Else: in the text after it, that many line ends further on."""
        self.made = False
        """The text at fault came from a variable or a macro: another value may well do."""
        super().__init__(f"{where}: {what}; {mend}" if where else f"{what}; {mend}")

    def placed(self, where: str) -> Self:
        """Return the same error, saying where."""
        copy = type(self)(self.what, self.mend, where)
        copy.made = self.made
        return copy


class LibraryError(PromptError):
    """A file of the sound library is missing or wrong."""


class LanguageInvalid(PromptError):
    """A language tag is not a BCP 47 tag."""


class TemplateNotFound(PromptError):
    """The language has no template of that name."""


class VariablesInvalid(PromptError):
    """A variable cannot be given to a template."""


class TemplateFailed(PromptError):
    """The template broke off while it was rendered."""


class SsmlInvalid(PromptError):
    """What the template made is not well formed, or not in the subset of SSML that is spoken here."""


class SoundMissing(PromptError):
    """There is no sound for a text, a character or an `audio` element."""


class PromptTooLong(PromptError):
    """The prompt is larger, deeper or longer than a prompt may be."""


class EngineMissing(PromptError):
    """No speech engine speaks the language well enough, or has the voice."""


class EngineFailed(PromptError):
    """The speech engine did not render the text."""
