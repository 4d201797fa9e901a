"""Sound files as the virtual switch finds them."""

from pathlib import Path

import pytest

from orchestrator.audio.g711 import encode_ulaw
from orchestrator.audio.wav import write_wav
from orchestrator.pbx.virtual.clips import KNOWN_FOR, Clips, samples_of


def test_a_sound_is_found_by_name_language_and_any_ending(tmp_path: Path) -> None:
    (tmp_path / "en" / "digits").mkdir(parents=True)
    pcm = (1000).to_bytes(2, "little") * 160
    (tmp_path / "en" / "digits" / "1.ulaw").write_bytes(encode_ulaw(pcm))
    write_wav(tmp_path / "plain.wav", pcm)
    clips = Clips([tmp_path])
    assert [clip and clip.samples for clip in (clips.find("digits/1", "en"), clips.find("plain", "en"))] == [
        160,
        160,
    ]
    assert clips.find("en/digits/1.ulaw") == clips.find("digits/1", "en")
    assert clips.find("digits/1") is None
    assert clips.find("digits/1", "fr") is None
    plain = clips.find("plain")
    assert plain is not None
    assert samples_of(plain) == pcm
    assert plain.seconds == 0.02


def test_a_folder_may_stand_under_a_name(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.sln").write_bytes(bytes(4))
    clips = Clips(mounts={"orchestrator": [tmp_path]})
    found = clips.find("orchestrator/en/a")
    assert found is not None
    assert found.samples == 2
    assert list(clips.listed()) == [("orchestrator", "en/a", "slin")]
    assert clips.find("orchestrator") is None
    assert clips.find_file("/usr/share/freeswitch/sounds/orchestrator/en/a.sln") == found
    assert clips.find_file("/elsewhere/en/a.sln") is None


@pytest.mark.parametrize("name", ["../secret", "en/../../secret", "/etc/passwd", "", "a\0b", "x" * 5000])
def test_nothing_outside_its_folders_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.sln").write_bytes(bytes(4))
    (tmp_path / "sounds").mkdir()
    assert Clips([tmp_path / "sounds"]).find(name, "en") is None


def test_what_is_no_sound_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF but no more")
    assert Clips([tmp_path]).find("bad") is None


def test_a_new_file_is_found_a_moment_later(tmp_path: Path) -> None:
    now = [0.0]
    clips = Clips([tmp_path], clock=lambda: now[0])
    assert clips.find("a") is None
    (tmp_path / "a.sln").write_bytes(bytes(4))
    assert clips.find("a") is None
    now[0] += KNOWN_FOR
    assert clips.find("a") is not None
