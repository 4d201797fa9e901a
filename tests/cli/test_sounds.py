"""Sounds into the PBX's folder: all of them, whole, and only what has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.audio.g711 import encode_alaw, encode_ulaw
from orchestrator.audio.wav import read_wav
from tests.cli.conftest import Desk


def test_every_sound_comes_in_every_format_and_a_second_time_nothing_is_touched(desk: Desk) -> None:
    sounds = desk.folder / "sounds"
    sounds.mkdir()
    (sounds / "orchestrator/en").mkdir(parents=True)
    kept = sounds / "orchestrator/en/mine.wav"
    kept.write_text("mine")
    first = json.loads(desk.run("sounds", "install", "--to", str(sounds), "--json").stdout)
    assert first["written"] == 3 * first["sounds"]
    four = sounds / "orchestrator/en/digits/4"
    pcm = read_wav(four.with_suffix(".wav"))
    assert four.with_suffix(".ulaw").read_bytes() == encode_ulaw(pcm)
    assert four.with_suffix(".alaw").read_bytes() == encode_alaw(pcm)
    assert four.with_suffix(".ulaw").stat().st_mode & 0o777 == 0o644
    before = four.with_suffix(".ulaw").stat()
    four.with_suffix(".alaw").write_bytes(b"broken")
    second = json.loads(desk.run("sounds", "install", "--to", str(sounds), "--json").stdout)
    assert (second["written"], second["unchanged"]) == (1, first["written"] - 1)
    assert four.with_suffix(".ulaw").stat() == before
    assert four.with_suffix(".alaw").read_bytes() == encode_alaw(pcm)
    assert kept.read_text() == "mine"
    assert not list(sounds.rglob(".*"))


def test_one_format_and_the_folder_that_the_configuration_names(desk: Desk) -> None:
    desk.replace("request_timeout = 2", 'request_timeout = 2\nsounds = "voices/ours"')
    result = desk.run("sounds", "install", "--to", str(desk.folder), "--format", "alaw")
    assert result.exit_code == 0
    assert (desk.folder / "voices/ours/en/digits/4.alaw").is_file()
    assert not list(desk.folder.rglob("*.ulaw"))


def test_it_works_without_any_configuration(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.config.unlink()
    monkeypatch.setattr("orchestrator.config.SEARCHED", (desk.folder / "none.toml",))
    assert desk.run("sounds", "install", "--to", str(desk.folder), config=False).exit_code == 0
    assert (desk.folder / "orchestrator/silence/100.ulaw").is_file()


def test_a_folder_that_is_not_there_is_not_made(desk: Desk) -> None:
    missing = desk.folder / "none"
    result = desk.run("sounds", "install", "--to", str(missing))
    assert result.exit_code == 2
    assert "--to DIR" in result.stderr
    assert not missing.exists()


def test_no_usual_folder_asks_for_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.pbx.places.GUESSES", {"asterisk": (str(desk.folder / "none"),)})
    result = desk.run("sounds", "install")
    assert result.exit_code == 2
    assert "--to DIR" in result.stderr


def test_a_usual_folder_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orchestrator.pbx.places.GUESSES", {"asterisk": ("/not/there", str(tmp_path))})
    assert desk.run("sounds", "install", "--format", "wav").exit_code == 0
    assert (tmp_path / "orchestrator/en/digits/0.wav").is_file()


def test_freeswitch_gets_wav_files_in_a_folder_of_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "ast").mkdir()
    folders = {"asterisk": (str(tmp_path / "ast"),), "freeswitch": (str(tmp_path / "fs"),)}
    monkeypatch.setattr("orchestrator.pbx.places.GUESSES", folders)
    desk.add("""
[[pbx]]
name = "fs1"
kind = "freeswitch"
url = "esl://127.0.0.1:8021"
password = "a password"
dial = "sofia/gateway/carrier/{number}"
""")
    result = desk.run("sounds", "install")
    assert result.exit_code == 0
    assert "Asterisk and FreeSWITCH see them at once" in result.stdout
    files = {path.relative_to(tmp_path / "fs").as_posix() for path in (tmp_path / "fs").rglob("*.*")}
    assert "orchestrator/en/digits/4.wav" in files
    assert all(name.endswith(".wav") for name in files)
    assert (tmp_path / "ast/orchestrator/en/digits/4.ulaw").is_file()


def test_a_full_path_for_freeswitch_is_taken_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.replace('name = "ast1"', 'name = "fs1"\nkind = "freeswitch"')
    desk.replace("http://", "esl://")
    desk.replace("/ari", "")
    desk.replace("request_timeout = 2", f'request_timeout = 2\nsounds = "{tmp_path}/voices"')
    assert desk.run("sounds", "install", "--to", "/not/there").exit_code == 0
    assert (tmp_path / "voices/en/digits/4.wav").is_file()


def test_a_place_that_cannot_be_written_says_so(desk: Desk) -> None:
    (desk.folder / "orchestrator").write_text("a file, not a folder")
    result = desk.run("sounds", "install", "--to", str(desk.folder))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_the_list_has_lengths_and_texts(desk: Desk) -> None:
    result = desk.run("sounds", "list", "--language", "en", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"id": "en/digits/4", "ms": 140, "encodings": ["wav"], "text": "4"} in rows
    assert all(row["id"].startswith("en/") for row in rows)
    assert desk.run("sounds", "list", "--language", "fr").exit_code == 1
