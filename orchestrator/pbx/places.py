"""Where each kind of PBX has its sounds, and what it plays them from."""

from pathlib import Path
from typing import Final

FORMATS: Final = ("ulaw", "alaw", "wav")
PLAYED: Final[dict[str, tuple[str, ...]]] = {"asterisk": FORMATS, "freeswitch": ("wav",)}
"""What each kind of PBX plays from: Asterisk takes the file that is in the call's own encoding; FreeSWITCH
is told a file by its whole name, and encodes itself."""
GUESSES: Final[dict[str, tuple[str, ...]]] = {
    "asterisk": (
        "/usr/share/asterisk/sounds",
        "/var/lib/asterisk/sounds",
        "/usr/local/share/asterisk/sounds",
        "/usr/local/var/lib/asterisk/sounds",
    ),
    "freeswitch": (
        "/usr/share/freeswitch/sounds",
        "/usr/local/freeswitch/sounds",
        "/usr/local/share/freeswitch/sounds",
        "/opt/freeswitch/sounds",
    ),
}


def guess_folder(kind: str) -> Path | None:
    """The folder of sounds of that kind of PBX on this machine, None where none of the usual ones exists."""
    return next((Path(guess) for guess in GUESSES[kind] if Path(guess).is_dir()), None)
