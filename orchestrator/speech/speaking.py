"""Free text to a sound: which engine, is it there already, render it, keep it."""

import contextlib
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.audio.wav import SAMPLE_RATE
from orchestrator.prompts.engine import Utterance
from orchestrator.prompts.errors import EngineFailed, EngineMissing
from orchestrator.prompts.playlist import Item
from orchestrator.prompts.tags import fallbacks
from orchestrator.speech.cache import Cache, CacheUnusable
from orchestrator.speech.child import ChildFailed, run
from orchestrator.speech.command import CommandLine
from orchestrator.speech.engines import Manner, Plan, Program, missing, programs
from orchestrator.speech.settings import Speech
from orchestrator.speech.text import clean, says_something

LIBRARY: Final = "speech"
"""Library ids of rendered sounds begin with it: `speech/<name>`."""

_SHAPE_TIMEOUT: Final = 60.0
_SHAPING: Final = 2  # changes whenever the shaping does: then every sound is another one
_QUEUE_FACTOR: Final = 4.0  # time-outs of one text that another one may wait for its turn
_PACKAGE: Final = str(Path(__file__).resolve().parents[2])


class SpokenBy(msgspec.Struct, frozen=True):
    """Who speaks a language: the engine and its voice, or the fault and its mend."""

    language: str
    engine: str = ""
    voice: str = ""
    fault: str = ""
    mend: str = ""


class Found(msgspec.Struct, frozen=True):
    """One engine: what was found of it, or the fault and its mend."""

    engine: str
    found: str = ""
    fault: str = ""
    mend: str = ""


class SpeechEngine:
    """Speaks free text by the first acceptable engine. Safe to call from several threads."""

    def __init__(
        self,
        settings: Speech,
        engines: Sequence[Program],
        cache: Cache,
        fingerprint: Callable[[bytes], bytes],
    ) -> None:
        self._settings = settings
        self._engines: Mapping[str, Program] = {engine.name: engine for engine in engines}
        self._languages = {tag.lower(): spoken for tag, spoken in settings.languages.items()}
        self._cache = cache
        self._fingerprint = fingerprint
        self._turns = threading.BoundedSemaphore(settings.parallel)
        self._guard = threading.Lock()
        self._making: dict[str, Future[int]] = {}

    @property
    def folder(self) -> Path:
        """Where the rendered sounds are kept."""
        return self._cache.folder

    def speak(self, utterance: Utterance) -> Item:
        """As `orchestrator.prompts.engine.Engine` says. Raises `EngineMissing`, `EngineFailed`."""
        if len(utterance.text) > self._settings.max_characters:
            raise EngineFailed(
                f"a text of {len(utterance.text)} characters is too long for a speech engine",
                f"say it in texts of {self._settings.max_characters} at most, or raise speech.max_characters",
            )
        text = clean(utterance.text)
        if not says_something(text):
            raise EngineFailed("a text has nothing in it that can be said", "put words into it")
        engine, plan = self._choose(utterance)
        name = self._name(engine.name, plan, text, utterance)
        ms = self._cache.find(name)
        if ms is None:
            ms = self._once(name, engine.name, plan, text, utterance.volume)
        return Item(f"{LIBRARY}/{name}", ms, utterance.text)

    def speaker_of(self, language: str) -> SpokenBy:
        """Who speaks a language."""
        try:
            engine, plan = self._choose(Utterance(text="", language=language))
        except EngineMissing as error:
            return SpokenBy(language, fault=error.what, mend=error.mend)
        return SpokenBy(language, engine.name, plan.voice)

    def engines(self) -> tuple[Found, ...]:
        """Each engine, found or missing."""
        made = []
        for engine in self._engines.values():
            try:
                made.append(Found(engine.name, engine.found()))
            except EngineMissing as error:
                made.append(Found(engine.name, fault=error.what, mend=error.mend))
        return tuple(made)

    @contextlib.contextmanager
    def probe(self) -> Iterator[str]:
        """A short silence in the folder, as long as this lasts; its library id. Raises `EngineFailed`."""
        name = secrets.token_hex(16)
        try:
            self._cache.check()
            self._cache.store(name, bytes(2 * SAMPLE_RATE // 10))
        except CacheUnusable as error:
            raise EngineFailed(error.what, error.mend) from None
        try:
            yield f"{LIBRARY}/{name}"
        finally:
            self._cache.remove(name)

    def check(self) -> None:
        """See that sounds can be kept. Raises `EngineFailed`."""
        try:
            self._cache.check()
        except CacheUnusable as error:
            raise EngineFailed(error.what, error.mend) from None

    def _choose(self, utterance: Utterance) -> tuple[Program, Plan]:
        """The engine that the configuration names for the language, else the first that is acceptable."""
        for tag in fallbacks(utterance.language):
            spoken = self._languages.get(tag)
            if spoken is not None:
                engine = self._engines[spoken.engine]
                voice = utterance.voice or spoken.voice
                return engine, engine.plan(_manner(utterance, voice))
        faults = []
        for engine in self._engines.values():
            if isinstance(engine, CommandLine) and not engine.speaks(utterance.language):
                continue
            try:
                return engine, engine.plan(_manner(utterance, utterance.voice))
            except EngineMissing as error:
                faults.append(error)
        why = "; ".join(fault.what for fault in faults) or "there is no engine"
        mends = "; or ".join(fault.mend for fault in faults)
        raise missing(f"no speech engine speaks {utterance.language} ({why})", mends or "see docs/speech.md")

    def _name(self, engine: str, plan: Plan, text: str, utterance: Utterance) -> str:
        whole = msgspec.json.encode(
            (_SHAPING, engine, plan.identity, utterance.language.lower(), utterance.volume, text)
        )
        return self._fingerprint(b"speech\0" + whole)[:16].hex()

    def _once(self, name: str, engine: str, plan: Plan, text: str, volume: float) -> int:
        """Render it, or wait for the one who does."""
        with self._guard:
            future = self._making.get(name)
            first = future is None
            if future is None:
                future = self._making[name] = Future()
        if not first:
            return self._await(future)
        try:
            ms = self._make(name, engine, plan, text, volume)
        except BaseException as error:
            # Each of those who wait raises an error of his own: one that is shared collects tracebacks.
            future.set_exception(error if isinstance(error, EngineFailed) else EngineFailed(*_BROKEN))
            raise
        else:
            future.set_result(ms)
            return ms
        finally:
            with self._guard:
                del self._making[name]

    def _await(self, future: Future[int]) -> int:
        try:
            return future.result(_QUEUE_FACTOR * self._settings.timeout + _SHAPE_TIMEOUT)
        except FutureTimeout:
            raise EngineFailed(*_BUSY) from None
        except EngineFailed as error:
            raise EngineFailed(error.what, error.mend) from None

    def _make(self, name: str, engine: str, plan: Plan, text: str, volume: float) -> int:
        if not self._turns.acquire(timeout=_QUEUE_FACTOR * self._settings.timeout):
            raise EngineFailed(*_BUSY)
        try:
            self._cache.check()
            with self._cache.making(name):
                found = self._cache.find(name)  # another process may have made it meanwhile
                if found is not None:
                    return found
                return self._cache.store(name, self._render(engine, plan, text, volume))
        except CacheUnusable as error:
            raise EngineFailed(error.what, error.mend) from None
        finally:
            self._turns.release()

    def _render(self, engine: str, plan: Plan, text: str, volume: float) -> bytes:
        """16-bit PCM at 8000 Hz."""
        try:
            made = run(plan.argv, text.encode("utf-8"), self._settings.timeout, plan.environment)
            shape = (sys.executable, "-S", "-m", "orchestrator.audio.shape", f"{volume:g}")
            return run(shape, made, _SHAPE_TIMEOUT, {"PYTHONPATH": _PACKAGE}, told=True)
        except ChildFailed as error:
            raise EngineFailed(
                f"the speech engine {engine} did not render a text: {error}",
                "try it by hand; orchestrator doctor names what it needs",
            ) from None


_BUSY: Final = (
    "the speech engine has too much to do",
    "submit it again later, or raise speech.parallel",
)
_BROKEN: Final = ("the rendering of a text was broken off", "submit it again")


def _manner(utterance: Utterance, voice: str | None) -> Manner:
    return Manner(
        language=utterance.language, voice=voice, rate=round(utterance.rate, 2), pitch=utterance.pitch
    )


def open_engine(
    settings: Speech,
    *,
    folder: Path,
    formats: Sequence[str],
    fingerprint: Callable[[bytes], bytes],
    root: Path,
) -> SpeechEngine | None:
    """The engines that `settings` name; None when speech is switched off.

    `folder`: where rendered sounds are kept and the PBX reads them. `formats`: which encodings it plays, of
    `wav`, `ulaw`, `alaw`. `fingerprint`: a keyed hash, such as `Seal.fingerprint`; processes that share a
    folder share sounds when they have one key. `root`: where relative paths of the settings start.

    Looks for the programs, runs none of them.
    """
    if not settings.enabled:
        return None
    cache = Cache(folder, formats, settings.max_megabytes * 1_000_000)
    return SpeechEngine(settings, programs(settings, root), cache, fingerprint)
