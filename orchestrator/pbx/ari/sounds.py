"""Which sounds Asterisk can play, without ringing anybody.

Asterisk indexes every folder below `sounds` as a language, afresh for each question (measured on 22.10.1:
new and removed files and symbolic links show at once). Our library's folder is such a "language": the file
`sounds/orchestrator/en/digits/4.ulaw` is listed as the sound `en/digits/4` of the language `orchestrator`.
One request lists them all.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

import aiohttp

from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.pooled import exchange
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.port import SoundCheck


async def check(http: aiohttp.ClientSession, settings: AriSettings, sounds: Sequence[str]) -> SoundCheck:
    """Raises `PbxUnreachable` when Asterisk does not tell, `PbxProtocolError` for an unreadable list."""
    folder = settings.sounds_prefix.partition("/")[0]
    answer = await exchange(http, settings, RestCall("GET", f"sounds?lang={quote(folder, safe='')}"))
    if answer.status == 404:  # ARI's way of saying that the list is empty
        return compare(settings.sounds_prefix, sounds, ())
    if not answer.ok:
        # 500: one folder below its sounds that it may not read is enough, whatever else is in there.
        raise PbxUnreachable(
            f"pbx {settings.name}: Asterisk would not list its sounds ({answer.status}); "
            "it must be able to read every folder below them"
        )
    return compare(settings.sounds_prefix, sounds, (sound.id for sound in wire.decode_sounds(answer.body)))


def compare(prefix: str, sounds: Sequence[str], listed: Iterable[str]) -> SoundCheck:
    """Of `sounds` (library ids), those that are not among `listed` (Asterisk's ids). Pure."""
    below = prefix.partition("/")[2]
    known = frozenset(listed)
    missing = (sound for sound in sounds if (f"{below}/{sound}" if below else sound) not in known)
    return SoundCheck(missing=tuple(dict.fromkeys(missing)), checked=len(sounds))
