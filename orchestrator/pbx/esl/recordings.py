"""Recordings as files: FreeSWITCH writes them into a folder that the worker beside it sees too.

A name is checked before it becomes a path, and holds no slash, so no name leads out of the folder.
"""

import errno
import os
from typing import Final

from orchestrator.audio.cut_off import whole
from orchestrator.pbx.errors import PbxUnreachable, RecordingNotFound
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.fit import Unfit, check_id

_ENDING: Final = ".wav"


def path_of(settings: EslSettings, recording: str) -> str:
    """The file of a recording, as FreeSWITCH and we see it. Raises `Unfit`."""
    return f"{settings.recordings_folder}/{check_id(recording, 'recording')}{_ENDING}"


def is_ours(settings: EslSettings, path: str) -> bool:
    """Whether this is a file of our folder."""
    return path.rpartition("/")[0] == settings.recordings_folder


def name_of(path: str) -> str:
    """The recording in the file of this path; empty when its name cannot be one of ours."""
    name = path.rpartition("/")[2]
    if not name.endswith(_ENDING):
        return ""
    try:
        return check_id(name.removesuffix(_ENDING), "recording")
    except Unfit:
        return ""


def read(settings: EslSettings, recording: str) -> bytes:
    """The recording as a whole WAV file. Raises `RecordingNotFound`, `PbxUnreachable` when it may not be
    read."""
    try:
        # No link out of the folder, wherever it leads.
        file = os.open(path_of(settings, recording), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as opened:
            data = opened.read()
    except Unfit as fault:
        raise RecordingNotFound(f"pbx {settings.name}: {fault}") from None
    except OSError as fault:
        if fault.errno in (errno.ENOENT, errno.ELOOP):
            raise RecordingNotFound(f"pbx {settings.name}: there is no recording {recording}") from None
        raise _unreachable(settings, fault) from None
    wav = whole(data)
    if not wav:
        raise RecordingNotFound(f"pbx {settings.name}: the recording {recording} is empty or no WAV file")
    return wav


def delete(settings: EslSettings, recording: str) -> None:
    """Delete the recording; one that is not there is no error. Raises `PbxUnreachable`."""
    try:
        os.unlink(path_of(settings, recording))
    except (Unfit, FileNotFoundError):
        return
    except OSError as fault:
        raise _unreachable(settings, fault) from None


def _unreachable(settings: EslSettings, fault: OSError) -> PbxUnreachable:
    return PbxUnreachable(
        f"pbx {settings.name}: the recordings in {settings.recordings_folder} cannot be reached "
        f"({fault.strerror}); let the worker's user read and delete there"
    )
