"""What a voice says: the file `<language>.toml` beside this one, read and checked."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Line:
    """One sound: its file name, and what is spoken to get it."""

    sound: str
    say: str
    lead: str = ""  # spoken before it and cut off, so that it begins as inside a sentence
    then: str = ""  # spoken after it and cut off; must hold a stop consonant, written "t"
    speed: float = 1.0
    style: int | None = None
    stretch: int = 0  # how many units of 25 ms the last phoneme is held longer


@dataclass(frozen=True)
class Script:
    """One language: how it is called, who speaks it, and every line by the text it stands for."""

    tag: str
    name: str
    voice: str
    digit_gap_ms: int
    digits: dict[str, Line]
    characters: dict[str, Line]
    numbers: dict[str, Line]
    phrases: dict[str, Line]

    def lines(self) -> list[Line]:
        tables = (self.digits, self.characters, self.numbers, self.phrases)
        return [line for table in tables for line in table.values()]


def languages() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_script(language: str) -> Script:
    with (FOLDER / f"{language}.toml").open("rb") as file:
        data: dict[str, Any] = tomllib.load(file)

    defaults = {"speed": data["speed"]}
    common = {table: defaults | entry for table, entry in data.get("defaults", {}).items()}

    def lines(table: str, folder: str) -> dict[str, Line]:
        return {
            text: _line(f"{folder}/{entry.get('name', _slug(text))}", common.get(table, defaults) | entry)
            for text, entry in data[table].items()
        }

    return Script(
        data["tag"],
        data["name"],
        data["voice"],
        data["digit_gap_ms"],
        lines("digits", "digits"),
        lines("letters", "letters") | lines("symbols", "symbols"),
        lines("numbers", "numbers"),
        lines("phrases", "phrases"),
    )


def _line(sound: str, entry: dict[str, Any]) -> Line:
    return Line(sound, **{key: value for key, value in entry.items() if key != "name"})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
