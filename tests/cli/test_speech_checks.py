"""The doctor tells who would speak a free text, and whether the PBX would find it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.audio.wav import wav_bytes
from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.cli.speech_checks import Probe, heard, probing
from orchestrator.config import Config, Pbx, load_config
from orchestrator.pbx.port import SoundCheck
from tests.cli.conftest import Desk
from tests.pbx.ari.fake_ari import PASSWORD, FakeAri, serving


def rows(desk: Desk) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in desk.run("doctor", "--json").stdout.splitlines()]
    return [row for row in found if row["check"] == "speech"]


def said(desk: Desk) -> str:
    return "\n".join(f"{row['level']} {row['said']} | {row['mend']}" for row in rows(desk))


def test_each_engine_and_language_is_told_with_its_mend(desk: Desk) -> None:
    desk.add('[speech]\nfolder = "spoken"\n[speech.languages.zh]\nengine = "kokoro"\n')
    found = said(desk)
    assert "ok kokoro has no model configured | set [speech.kokoro] model and voices" in found
    assert "ok piper has no voice configured | name one: [speech.piper] voices" in found
    assert "ok espeak-ng is here: /" in found
    assert "ok free text in en is spoken by espeak-ng, voice en-us" in found
    assert "fail free text in zh is refused: kokoro has no model configured" in found
    assert "not there yet; it is made with the first text" in found
    assert desk.left == set()


def test_a_missing_program_is_told_with_how_to_install_it(desk: Desk) -> None:
    desk.add('[speech.espeak-ng]\nprogram = "no-such-espeak"\n')
    assert "ok espeak-ng is not here: there is no program no-such-espeak | install it (Debian" in said(desk)
    assert "warn free text in en is refused" in said(desk)


def test_a_folder_that_cannot_be_written_to_is_a_fault(desk: Desk) -> None:
    (desk.folder / "spoken").write_text("a file")
    desk.add('[speech]\nfolder = "spoken"\n')
    assert f"fail the folder of spoken sounds {desk.folder}/spoken cannot be written to" in said(desk)
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


async def test_an_asterisk_is_asked_for_it(tmp_path: Path) -> None:
    fake = FakeAri()
    probe = Probe("speech/0a", str(tmp_path), "fail")
    async with serving(fake):
        node = Pbx(name="ast1", url=fake.url, password=PASSWORD, dial="PJSIP/{number}@lab")
        found = await check_pbx(node, None, False, probe)
    assert [row.level for row in found if str(tmp_path) in row.said] == ["fail"]
    assert heard("pbx ast1", probe, SoundCheck((), 1)).level == "ok"
