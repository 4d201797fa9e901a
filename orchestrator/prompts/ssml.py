"""Read a rendered document: the subset of SSML 1.1 (W3C Recommendation, 7 September 2010) spoken here.

Elements: speak, p, s, break, say-as, audio, lang, prosody, voice. No DTD, no entities but XML's own
five, no processing instructions. What SSML knows and we do not speak yet is refused by name.
"""

import re
from typing import NoReturn
from xml.parsers import expat

import msgspec

from orchestrator.prompts.errors import PromptTooLong, SsmlInvalid
from orchestrator.prompts.phrases import composed
from orchestrator.prompts.steps import MAX_DOCUMENT
from orchestrator.prompts.syntax import MARK_CLOSE, MARK_OPEN

MAX_NESTING = 32
"""Elements inside each other."""

NAMESPACE = "http://www.w3.org/2001/10/synthesis"

_ATTRIBUTES: dict[str, frozenset[str]] = {
    "speak": frozenset({"version", "xml:lang", "xmlns", "xmlns:xsi", "xsi:schemaLocation"}),
    "p": frozenset({"xml:lang"}),
    "s": frozenset({"xml:lang"}),
    "break": frozenset({"time", "strength"}),
    "say-as": frozenset({"interpret-as", "format"}),
    "audio": frozenset({"src"}),
    "lang": frozenset({"xml:lang"}),
    "prosody": frozenset({"rate", "pitch", "volume"}),
    "voice": frozenset({"name"}),
}
_SPOKEN = frozenset(_ATTRIBUTES)
_INLINE = frozenset({"break", "say-as", "audio", "lang", "prosody", "voice"})
_CHILDREN: dict[str, frozenset[str]] = {
    "speak": _INLINE | {"p", "s"},
    "p": _INLINE | {"s"},
    "s": _INLINE,
    "lang": _INLINE | {"p", "s"},
    "audio": _INLINE | {"p", "s"},
    "prosody": _INLINE | {"p", "s"},
    "voice": _INLINE | {"p", "s"},
    "break": frozenset(),
    "say-as": frozenset(),
}
_LATER = frozenset(
    (
        "desc", "emphasis", "lexicon", "lookup", "mark", "meta", "metadata", "phoneme", "sub", "token",
        "w",
    )
)  # fmt: skip
_LATER_ATTRIBUTES = frozenset(
    (
        "age", "clipBegin", "clipEnd", "contour", "detail", "duration", "endmark", "fetchhint",
        "fetchtimeout", "gender", "languages", "maxage", "maxstale", "onlangfailure", "onvoicefailure",
        "ordering", "range", "repeatCount", "repeatDur", "required", "soundLevel", "speed", "startmark",
        "variant", "xml:base", "xml:id",
    )
)  # fmt: skip
_MARKS = re.compile(f"[{MARK_OPEN}{MARK_CLOSE}]")
_NO_MARKS = str.maketrans("", "", MARK_OPEN + MARK_CLOSE)


class Text(msgspec.Struct, frozen=True):
    """A run of text. `made`: the spans that a variable or a macro wrote. `at`: the tag before it."""

    text: str
    made: tuple[tuple[int, int], ...]
    at: int

    def __repr__(self) -> str:
        return "Text(…)"


class Element(msgspec.Struct, frozen=True):
    """An element. `made`: the attributes that a variable had a part in. `at`: byte offset of its tag."""

    name: str
    attributes: dict[str, str]
    made: frozenset[str]
    at: int
    children: list["Element | Text"]

    def __repr__(self) -> str:
        return f"Element({self.name!r})"


class _Reader:
    """Builds the tree out of expat's calls, and tracks which text stands between marks."""

    def __init__(self, size: int, skipped: int) -> None:
        # Whatever encoding the document says: it is a string that we encode ourselves.
        self.parser = parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        # A text that outgrows the buffer would come in two parts, split within a word.
        parser.buffer_size = max(size, 1024)
        self.skipped = skipped
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.data
        parser.StartDoctypeDeclHandler = self.doctype
        parser.ProcessingInstructionHandler = self.instruction
        self.open: list[Element] = []
        self.root: Element | None = None
        self.depth = 0
        self.at = 0

    @property
    def here(self) -> int:
        return self.parser.CurrentByteIndex + self.skipped

    def refuse(self, what: str, mend: str) -> NoReturn:
        raise SsmlInvalid(what, mend, at=self.here)

    def doctype(self, *_: object) -> None:
        self.refuse("a DOCTYPE is not allowed", "take it out")

    def instruction(self, *_: object) -> None:
        self.refuse("a processing instruction is not allowed", "take it out")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self.open[-1] if self.open else None
        if name not in _SPOKEN:
            self._unknown("element", f"<{name}>", name in _LATER)
        if parent is None:
            if name != "speak":
                self.refuse(f"the document begins with <{name}>", "put it all into one <speak>")
        elif name not in _CHILDREN[parent.name]:
            self.refuse(f"<{name}> may not stand in <{parent.name}>", "move it")
        if len(self.open) >= MAX_NESTING:
            raise PromptTooLong(f"more than {MAX_NESTING} elements inside each other", "nest less")
        made: list[str] = []
        for key, value in attributes.items():
            if key not in _ATTRIBUTES[name]:
                self._unknown("attribute", f"{key} of <{name}>", key in _LATER_ATTRIBUTES)
            if self.depth or MARK_OPEN in value or MARK_CLOSE in value:
                self.depth = max(0, self.depth + value.count(MARK_OPEN) - value.count(MARK_CLOSE))
                attributes[key] = value.translate(_NO_MARKS)
                made.append(key)
        self.at = self.parser.CurrentByteIndex + self.skipped
        element = Element(name, attributes, frozenset(made), self.at, [])
        if parent is None:
            if attributes.get("xmlns", NAMESPACE) != NAMESPACE:
                self.refuse("<speak> is not in the namespace of SSML", f'write xmlns="{NAMESPACE}"')
            if attributes.get("version", "1.1") not in ("1.0", "1.1"):
                self.refuse("the version of <speak> is not supported", 'write version="1.1"')
            self.root = element
        else:
            parent.children.append(element)
        self.open.append(element)

    def end(self, _: str) -> None:
        self.open.pop()
        self.at = self.parser.CurrentByteIndex + self.skipped

    def data(self, data: str) -> None:
        text = data
        made: tuple[tuple[int, int], ...] = ()
        if self.depth or MARK_OPEN in data or MARK_CLOSE in data:
            text, made = self._unmarked(composed(data))
        elif not data.isascii():
            text = composed(data)
        if text and not text.isspace():
            self.open[-1].children.append(Text(text, made, self.at))

    def _unmarked(self, data: str) -> tuple[str, tuple[tuple[int, int], ...]]:
        """Take the marks out of a text; return it with the spans that stood between them."""
        pieces: list[str] = []
        spans: list[tuple[int, int]] = []
        length = start = 0
        for match in [*_MARKS.finditer(data), None]:
            piece = data[start : match.start() if match else len(data)]
            if self.depth and piece:
                spans.append((length, length + len(piece)))
            pieces.append(piece)
            length += len(piece)
            if match:
                start = match.end()
                self.depth = max(0, self.depth + (1 if match.group() == MARK_OPEN else -1))
        return "".join(pieces), tuple(spans)

    def _unknown(self, kind: str, what: str, later: bool) -> NoReturn:
        if later:
            self.refuse(f"the {kind} {what} is not supported yet", "take it out")
        self.refuse(f"SSML has no {kind} {what}", "correct its name or take it out")


def parse(document: str) -> Element:
    """Read a document into its tree. Raises `SsmlInvalid`, `PromptTooLong`, with `at` set."""
    # White space that a template's statements leave would keep an XML declaration from coming first.
    start = document.lstrip(" \t\r\n")
    encoded = start.encode(errors="surrogatepass")
    if len(encoded) > MAX_DOCUMENT:
        raise PromptTooLong(f"the document has more than {MAX_DOCUMENT} bytes", "make it shorter")
    reader = _Reader(len(encoded), len(document) - len(start))
    fault: SsmlInvalid
    try:
        reader.parser.Parse(encoded, True)
    except expat.ExpatError as error:
        what = f"the document is not well-formed XML ({expat.ErrorString(error.code)})"
        fault = SsmlInvalid(what, "correct the template", at=reader.parser.ErrorByteIndex + reader.skipped)
    else:
        assert reader.root is not None  # noqa: S101 - expat refuses a document without an element
        return reader.root
    raise fault
