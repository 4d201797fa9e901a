"""The doctor tells who would speak a free text, and whether the PBX would find it."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import pytest

from orchestrator.audio.wav import wav_bytes
from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.cli.speech_checks import probing
from orchestrator.config import Config, Pbx, load_config
from orchestrator.pbx.virtual.pbx import Settings
from orchestrator.pbx.virtual.pbx import running as virtual_pbx
from orchestrator.speech.settings import Speech
from tests.cli.conftest import Desk


def rows(desk: Desk) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in desk.run("doctor", "--json").stdout.splitlines()]
    return [row for row in found if row["check"] == "speech"]


def said(desk: Desk) -> str:
    return "\n".join(f"{row['level']} {row['said']} | {row['mend']}" for row in rows(desk))


def test_each_engine_and_language_is_told_with_its_mend(desk: Desk) -> None:
    desk.add('[speech]\nfolder = "speech"\n[speech.languages.zh]\nengine = "kokoro"\n')
    found = said(desk)
    assert "ok kokoro has no model configured | set [speech.kokoro] model and voices" in found
    assert "ok piper has no voice configured | name one: [speech.piper] voices" in found
    assert "ok espeak-ng is here: /" in found
    assert "ok free text in en is spoken by espeak-ng, voice en-us" in found
    assert "fail free text in zh is refused: kokoro has no model configured" in found
    assert "not there yet; it is made with the first text" in found
    assert desk.left == set()


def test_a_missing_program_is_told_with_how_to_install_it(desk: Desk) -> None:
    desk.add('[speech.espeak]\nprogram = "no-such-espeak"\n')
    assert "ok espeak-ng is not here: there is no program no-such-espeak | install it (Debian" in said(desk)
    assert "warn free text in en is refused" in said(desk)


def test_a_folder_that_cannot_be_written_to_is_a_fault(desk: Desk) -> None:
    (desk.folder / "speech").write_text("a file")
    desk.add('[speech]\nfolder = "speech"\n')
    assert f"fail the folder of spoken sounds {desk.folder}/speech cannot be written to" in said(desk)
    assert "speech.folder" in said(desk)


def test_switched_off_nothing_is_looked_for(desk: Desk) -> None:
    desk.add("[speech]\nenabled = false\n")
    assert [row["said"] for row in rows(desk)] == ["off, as configured: free text is refused"]


def test_a_configuration_that_gives_a_language_to_an_unfit_engine_is_refused(desk: Desk) -> None:
    desk.add('[speech.languages.zh-CN]\nengine = "espeak-ng"\n[speech.languages.en]\nengine = "festival"\n')
    result = desk.run("doctor")
    assert result.exit_code == 2
    assert "speech.languages.zh-CN.engine: espeak-ng's is not understood" in result.stdout
    assert "speech.languages.en.engine: no such engine; there are espeak-ng, kokoro, piper" in result.stdout


def configured(desk: Desk) -> Config:
    return load_config(desk.config, {})


def test_a_fresh_sound_lies_in_the_folder_only_while_the_pbx_is_asked(desk: Desk) -> None:
    folder = desk.folder / "speech"
    desk.add(f'[speech]\nfolder = "{folder}"\n')
    with probing(configured(desk)) as probe:
        assert probe is None
    folder.mkdir()
    with probing(configured(desk)) as probe:
        assert probe is not None
        wav = folder.parent / f"{probe.sound}.wav"
        assert wav.read_bytes() == wav_bytes(bytes(1600))
    assert list(folder.glob("*.wav")) == []


@pytest.mark.parametrize("kind", ["asterisk", "freeswitch"])
async def test_the_pbx_is_asked_for_a_sound_written_a_moment_ago(
    desk: Desk, kind: Literal["asterisk", "freeswitch"]
) -> None:
    sounds = desk.folder / "sounds"
    (sounds / "orchestrator/speech").mkdir(parents=True)
    (desk.folder / "speech").mkdir()
    settings = Settings(esl=("127.0.0.1", 0), folders=(sounds,))
    async with virtual_pbx(settings, time.time) as virtual:
        url = virtual.ari_url if kind == "asterisk" else virtual.esl_url
        dial = "PJSIP/{number}@lab" if kind == "asterisk" else "sofia/gateway/lab/{number}"
        node = Pbx(name="a", kind=kind, url=url, password=settings.password, dial=dial)
        for folder, level in (("sounds/orchestrator/speech", "ok"), ("speech", "fail")):
            with probing(Config(folder=desk.folder, speech=Speech(folder=folder))) as probe:
                rows = await check_pbx(node, None, False, probe)
            told = f"written into {desk.folder / folder}"
            assert [row.level for row in rows if told in row.said] == [level], rows
