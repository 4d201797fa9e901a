"""Recordings that are over: fetched from Asterisk, and deleted there. Each by a session of its own, so that a
command line that drives no call can do it too.
"""

from orchestrator.audio.cut_off import whole
from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.pooled import exchange, open_session
from orchestrator.pbx.ari.requests import RestCall, stored
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxUnreachable, RecordingNotFound
from orchestrator.pbx.fit import Unfit

FETCH_TIMEOUT = 120.0
"""Seconds that a file may take: four hours are 230 MB."""


async def fetch(settings: AriSettings, recording: str) -> bytes:
    """The recording as a whole WAV file, 8000 Hz and 16 bit, also where Asterisk was killed meanwhile.

    Raises `RecordingNotFound`, `PbxUnreachable`.
    """
    answer = await _ask(settings, "GET", recording, "/file")
    if answer is None or answer.status == 404:
        raise RecordingNotFound(f"pbx {settings.name}: it has no recording of that name")
    if not answer.ok:
        raise PbxUnreachable(f"pbx {settings.name}: Asterisk answers {answer.status} for a recording")
    wav = whole(answer.body if isinstance(answer.body, bytes) else answer.body.encode())
    if not wav:
        raise RecordingNotFound(f"pbx {settings.name}: the recording {recording} is empty or no WAV file")
    return wav


async def delete(settings: AriSettings, recording: str) -> None:
    """Delete it; one that is not there is no error. Raises `PbxUnreachable`."""
    answer = await _ask(settings, "DELETE", recording, "")
    if answer is not None and not answer.ok and answer.status != 404:
        raise PbxUnreachable(f"pbx {settings.name}: Asterisk answers {answer.status} for a recording")


async def _ask(settings: AriSettings, method: str, recording: str, below: str) -> Answer | None:
    """None: of a name that no recording of ours can have."""
    try:
        path = stored(recording).path
    except Unfit:
        return None
    async with open_session(settings) as http:
        return await exchange(http, settings, RestCall(method, f"{path}{below}"), FETCH_TIMEOUT)
