"""A prompt seen and heard without a call."""

from __future__ import annotations

import json
import wave

import pytest

from tests.cli.conftest import Desk


def test_the_playlist_is_shown_with_times_and_texts(desk: Desk) -> None:
    result = desk.run("render", "code", "--code", "4938")
    assert result.exit_code == 0
    first = result.stdout.splitlines()[0].split()
    assert first[:2] == ["0.000", "s"]
    assert "en/digits/4" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("s in all")


def test_json_has_every_row_and_the_wav_lasts_as_long(desk: Desk) -> None:
    wav = desk.folder / "out.wav"
    result = desk.run("render", "code", "--code", "4938", "--plays", "1", "-o", str(wav), "--json")
    fields = json.loads(result.stdout)
    digits = [row["text"] for row in fields["plays"][0] if "/digits/" in row["sound"]]
    assert digits == list("4938")
    with wave.open(str(wav)) as file:
        assert file.getnframes() / 8000 == pytest.approx(fields["seconds"])
    assert wav.stat().st_mode & 0o077 == 0


def test_another_language_speaks_its_own(desk: Desk) -> None:
    result = desk.run("render", "code", "--language", "zh-CN")
    assert "zh/digits/1" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none"], 'no template "none"'),
        (["code", "--language", "!"], "language"),
        (["code", "--code", "12a4"], "digits"),
        (["code", "--var", "novalue"], "NAME=TEXT"),
    ],
)
def test_what_cannot_be_spoken_exits_2(desk: Desk, args: list[str], said: str) -> None:
    result = desk.run("render", *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wav_that_cannot_be_written_exits_1(desk: Desk) -> None:
    result = desk.run("render", "code", "-o", str(desk.folder / "no" / "out.wav"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
