"""What `doctor` asks an Asterisk that is to connect two people: whether it has the modules for that."""

from typing import Final
from urllib.parse import quote

import aiohttp

from orchestrator.cli.checks import Row
from orchestrator.pbx.ari.pooled import exchange
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings

MODULES: Final = (
    "res_ari_bridges.so",
    "bridge_simple.so",
    "bridge_softmix.so",
    "chan_bridge_media.so",
    "res_ari_recordings.so",
    "res_stasis_recording.so",
    "format_wav.so",
)
"""What connects two channels, plays to both, and records them. Codes and notices need none of these."""


async def check_callbacks(http: aiohttp.ClientSession, settings: AriSettings) -> Row:
    """Raises `PbxUnreachable`."""
    what = f"pbx {settings.name}"
    missing = [name for name in MODULES if not await _runs(http, settings, name)]
    if missing:
        said = f"callbacks will not work: {', '.join(missing)} not loaded"
        return Row("warn", what, said, "if you want them: load in modules.conf")
    return Row("ok", what, "callbacks can be connected and recorded")


async def _runs(http: aiohttp.ClientSession, settings: AriSettings, name: str) -> bool:
    answer = await exchange(http, settings, RestCall("GET", f"asterisk/modules/{quote(name, safe='')}"))
    return answer.ok
