"""Which sounds FreeSWITCH can play, without ringing anybody: each file is asked for by name."""

from collections.abc import Sequence

from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.esl.commands import file_exists, module_exists, sound_path
from orchestrator.pbx.esl.connection import Connection
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.port import SoundCheck


async def check(
    connection: Connection, settings: EslSettings, sounds_dir: str, sounds: Sequence[str]
) -> SoundCheck:
    """Raises `PbxUnreachable` when FreeSWITCH does not tell, or could play no file at all."""
    node = f"pbx {settings.name}"
    if (await connection.ask(module_exists("mod_sndfile"))).strip() == "false":
        raise PbxUnreachable(f"{node}: FreeSWITCH plays no files; load mod_sndfile in modules.conf.xml")
    asked = [file_exists(sound_path(settings, sounds_dir, sound)) for sound in sounds]
    answers = [answer.strip() for answer in await connection.ask_all(asked)]
    if any(answer not in ("true", "false") for answer in answers):
        raise PbxUnreachable(f"{node}: FreeSWITCH does not say which sounds it has; it must know file_exists")
    missing = (sound for sound, answer in zip(sounds, answers, strict=True) if answer == "false")
    return SoundCheck(missing=tuple(dict.fromkeys(missing)), checked=len(sounds))
