"""A small sound library for the tests: two languages, each sound of its own length."""

from pathlib import Path

from orchestrator.audio.wav import SAMPLE_RATE, write_wav
from orchestrator.prompts import Library, load_library, prepare
from orchestrator.prompts.playlist import Playlist

SILENCES = (100, 200, 300, 400, 500, 1000, 2000, 5000)
EN_PHRASES = {
    "Hello": "phrases/hello",
    "Your verification code is": "phrases/your-verification-code-is",
    "Your verification": "phrases/your-verification",
    "Goodbye. Thank you.": "phrases/goodbye-thank-you",
    "Bob": "phrases/bob",
}
ZH_PHRASES = {"您好": "phrases/hello", "您的验证码是": "phrases/code"}

CODE = """<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en">
  <s>Hello. Your verification code is</s>
  <say-as interpret-as="digits">{{ code }}</say-as>
  <break time="1s"/>
</speak>
"""


def wav(path: Path, ms: int, value: int = 1) -> None:
    """Write a WAV of `ms` milliseconds, every sample `value`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, value.to_bytes(2, "little") * (SAMPLE_RATE * ms // 1000))


def toml(tag: str, digits: dict[str, str], characters: dict[str, str], phrases: dict[str, str]) -> str:
    """Return a language.toml."""
    lines = [f'tag = "{tag}"', f'name = "{tag}"', 'voice = "tone"', 'licence = "CC0-1.0"']
    for title, table in (("digits", digits), ("characters", characters), ("phrases", phrases)):
        lines.append(f"[{title}]")
        lines += [f'"{key}" = "{name}"' for key, name in table.items()]
    return "\n".join(lines)


def language(root: Path, tag: str, phrases: dict[str, str], characters: dict[str, str]) -> Path:
    """Write a language with all its sounds; digit n lasts 100 + 10 n ms and holds samples of value n + 1."""
    folder = root / tag
    digits = {str(digit): f"digits/{digit}" for digit in range(10)}
    for digit in range(10):
        wav(folder / f"digits/{digit}.wav", 100 + 10 * digit, digit + 1)
    for index, name in enumerate([*characters.values(), *phrases.values()]):
        wav(folder / f"{name}.wav", 500 + 10 * index, 100 + index)
    (folder / "language.toml").write_text(toml(tag, digits, characters, phrases), encoding="utf-8")
    (folder / "templates").mkdir()
    return folder


def write_library(root: Path) -> Path:
    """Write the small library under `root`."""
    for ms in SILENCES:
        wav(root / f"silence/{ms}.wav", ms, 0)
    letters = {chr(ord("A") + index): f"letters/{chr(ord('a') + index)}" for index in range(26)}
    en = language(root, "en", EN_PHRASES, letters)
    zh = language(root, "zh", ZH_PHRASES, {})
    (en / "templates/code.ssml").write_text(CODE, encoding="utf-8")
    (zh / "templates/code.ssml").write_text(
        '<speak>您好，您的验证码是<say-as interpret-as="digits">{{ code }}</say-as></speak>', encoding="utf-8"
    )
    return root


class Room:
    """The small library plus a folder of templates that a test writes."""

    def __init__(self, root: Path, templates: Path) -> None:
        self.root = root
        self.templates = templates

    def library(self, **sources: str) -> Library:
        """Load the library with these templates, for every language, and no other."""
        for old in self.templates.glob("*.ssml"):
            old.unlink()
        for name, source in sources.items():
            (self.templates / f"{name}.ssml").write_text(source, encoding="utf-8")
        return load_library([self.root], template_dirs=[self.templates])

    def play(
        self, source: str, code: str | None = "4938", language: str = "en", **variables: str | int | float
    ) -> Playlist:
        """Prepare one play of a template."""
        return prepare(
            self.library(t=source),
            language,
            "t",
            code=code,
            variables=variables,
            plays=1,
            default_language="en",
        ).plays[0]

    def heard(
        self, body: str, code: str | None = "4938", language: str = "en", **variables: str | int | float
    ) -> list[str]:
        """Return the sounds of a document with this body, without the name of the language before them."""
        playlist = self.play(f"<speak>{body}</speak>", code, language, **variables)
        return [item.sound.removeprefix(f"{language}/") for item in playlist]
