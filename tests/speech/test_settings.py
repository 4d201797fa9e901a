"""The section [speech]: every fault named before a job is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import ConfigError, load_config
from orchestrator.setup import load_speech, speech_folder
from tests.speech.conftest import fingerprint

VIRTUAL = """
[[pbx]]
name = "v"
kind = "virtual"
url = "http://127.0.0.1:0/ari"
dial = "PJSIP/{number}@lab"
"""


def config_file(folder: Path, text: str) -> Path:
    (folder / "o.toml").write_text(text)
    return folder / "o.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('folder = "/srv/sounds"', "speech.folder: must end in `speech`"),
        ("timeout = 0", "speech.timeout: "),
        ('[speech.kokoro]\nmodel = "m"', "speech.kokoro: needs both"),
        (
            '[speech.commands.piper]\ncommand = ["x"]',
            "speech.commands.piper: `piper` is an engine",
        ),
        (
            '[speech.commands.a]\ncommand = ["x", "{text}"]',
            "speech.commands.a.command: braces are for",
        ),
        ("[speech.commands.a]\ncommand = []", "speech.commands.a.command"),
        ('[speech.commands.a]\ncommand = ["x"]\nlanguages = ["a b"]', "speech.commands.a.languages: "),
        ('[speech.languages."e n"]\nengine = "piper"', "speech.languages: the language is no BCP 47 tag"),
        ('[speech.languages.ja]\nengine = "espeak-ng"', "speech.languages.ja.engine: espeak-ng's is not"),
        ('[speech.languages.en]\nengine = "pipre"', "speech.languages.en.engine: no such engine"),
        ('[speech.languages.en]\nengine = "piper"\nvoice = "../x"', "speech.languages.en.voice"),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_file(tmp_path, f"[speech]\n{text}"), {})
    assert said in str(error.value)


def test_each_engine_can_be_set_by_variables(tmp_path: Path) -> None:
    environ = {
        "ORCHESTRATOR__SPEECH__TIMEOUT": "5",
        "ORCHESTRATOR__SPEECH__PIPER__VOICES": '{joe = "joe.onnx"}',
        "ORCHESTRATOR__SPEECH__LANGUAGES__EN__ENGINE": "piper",
    }
    speech = load_config(config_file(tmp_path, ""), environ).speech
    assert speech is not None
    assert speech.piper is not None
    assert (speech.timeout, speech.piper.voices) == (5.0, {"joe": "joe.onnx"})
    assert speech.languages["en"].engine == "piper"


@pytest.mark.parametrize(("folder", "above"), [("", "spoken"), ('folder = "sounds/speech"', "sounds")])
def test_a_virtual_pbx_has_what_engines_render(tmp_path: Path, folder: str, above: str) -> None:
    config = load_config(config_file(tmp_path, f"{VIRTUAL}\n[speech]\n{folder}"), {})
    assert speech_folder(config) == tmp_path / above / "speech"
    virtual = config.pbx[0].virtual
    assert virtual is not None
    assert str(tmp_path / above) in virtual.library
    engine = load_speech(config, fingerprint)
    assert engine is not None
    assert engine.folder == tmp_path / above / "speech"


def test_without_the_section_the_folder_is_the_first_real_pbx_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounds").mkdir()
    monkeypatch.setattr("orchestrator.pbx.places.GUESSES", {"freeswitch": (str(tmp_path / "sounds"),)})
    text = f"""{VIRTUAL}
[[pbx]]
name = "fs1"
kind = "freeswitch"
url = "esl://127.0.0.1:8021"
password = "a password"
dial = "sofia/gateway/carrier/{{number}}"
sounds = "ours"
"""
    assert speech_folder(load_config(config_file(tmp_path, text), {})) == tmp_path / "sounds/ours/speech"
