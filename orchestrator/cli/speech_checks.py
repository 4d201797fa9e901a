"""What `doctor` looks at of free text: the engines, who speaks which language, the folder, the PBX's view."""

import contextlib
import os
import secrets
from collections.abc import Iterator

import msgspec

from orchestrator.cli.checks import Level, Row
from orchestrator.config import Config
from orchestrator.pbx.port import SoundCheck
from orchestrator.prompts import Library
from orchestrator.prompts.errors import EngineFailed
from orchestrator.setup import load_speech
from orchestrator.speech import SpeechEngine

WHAT = "speech"


class Probe(msgspec.Struct, frozen=True):
    """A sound that was just written: its library id, the folder it lies in, what its absence means."""

    sound: str
    folder: str
    level: Level


def check_speech(config: Config, library: Library | None) -> Iterator[Row]:
    """Every engine, found or missing; who speaks each language; the folder of rendered sounds.

    A fault is a warning when the configuration has a section [speech]. Without one nobody may want free text,
    and what is missing is told all the same.
    """
    engine = _open(config)
    if engine is None:
        yield Row("ok", WHAT, "off, as configured: free text is refused")
        return
    wanted: Level = "ok" if config.speech is None else "warn"
    for one in engine.engines():
        if one.fault:
            # That an engine is missing is a fault only where a language was given to it, which is told below.
            yield Row("ok", WHAT, one.fault, one.mend)
        else:
            yield Row("ok", WHAT, f"{one.engine} is here: {one.found}")
    spoken = False
    for tag in _languages(config, library):
        found = engine.speaker_of(tag)
        if found.fault:
            level = "fail" if config.speech is not None and tag in config.speech.languages else wanted
            yield Row(level, WHAT, f"free text in {tag} is refused: {found.fault}", found.mend)
        else:
            spoken = True
            voice = f", voice {found.voice}" if found.voice else ""
            yield Row("ok", WHAT, f"free text in {tag} is spoken by {found.engine}{voice}")
    if spoken:
        yield _folder(engine, config)


def _folder(engine: SpeechEngine, config: Config) -> Row:
    above = next((folder for folder in engine.folder.parents[:2] if folder.is_dir()), None)
    if not engine.folder.exists() and above is not None and os.access(above, os.W_OK | os.X_OK):
        return Row("ok", WHAT, f"{engine.folder} is not there yet; it is made with the first text")
    try:
        with engine.probe():
            return Row("ok", WHAT, f"{engine.folder} can be written to")
    except EngineFailed as error:
        return Row(_weight(config), WHAT, error.what, error.mend)


@contextlib.contextmanager
def probing(config: Config) -> Iterator[Probe | None]:
    """A fresh sound for the PBX to see, while this lasts; None where none can be made."""
    engine = _open(config)
    with contextlib.ExitStack() as stack:
        probe = None
        if engine is not None and engine.folder.is_dir():
            with contextlib.suppress(EngineFailed):
                sound = stack.enter_context(engine.probe())
                probe = Probe(sound, str(engine.folder), _weight(config))
        yield probe


def heard(what: str, probe: Probe, check: SoundCheck) -> Row:
    """Whether the PBX sees what speech engines make."""
    if not check.missing:
        return Row("ok", what, f"it sees what is written into {probe.folder}")
    return Row(
        probe.level,
        what,
        f"it does not see what is written into {probe.folder}, so free text would be silence",
        "set speech.folder to the folder `speech` in its folder of our sounds, shared when it is elsewhere",
    )


def _weight(config: Config) -> Level:
    return "warn" if config.speech is None else "fail"


def _languages(config: Config, library: Library | None) -> list[str]:
    tags = [language.tag for language in library.languages.values()] if library is not None else []
    if config.speech is not None:
        tags += config.speech.languages
    return list(dict.fromkeys(tags))


def _open(config: Config) -> SpeechEngine | None:
    # Nothing is rendered here, so the names need no key that lasts.
    return load_speech(config, lambda content: secrets.token_bytes(32))
