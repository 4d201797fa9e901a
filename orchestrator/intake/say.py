"""What a job has to say, made ready: every prompt of its call, in the order in which the machine counts them.

A code: one prompt a play. A notice: its gate, then its items, once for each play. A callback: what its caller
hears first, the announcement of the recording, the warning before the end, and what the caller is told when
`to` cannot be had; a prompt that is not there is empty.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from orchestrator.job import Job, Kind
from orchestrator.ledger.records import Script
from orchestrator.prompts import (
    LanguageInvalid,
    Library,
    PromptError,
    VariablesInvalid,
    length,
    prepare,
    prepare_item,
)
from orchestrator.prompts.engine import Engine
from orchestrator.prompts.playlist import Playlist
from orchestrator.validate import Fault

ROUNDING: Final = 5
"""A prompt's length is stored in steps of so many seconds: the exact one would tell something of the code."""
BETWEEN_ITEMS: Final = 500
"""Milliseconds of silence after an item that another one follows."""
ANNOUNCED: Final = "callback-recorded"
TOLD: Final = ("callback-ending", "callback-busy", "callback-no-answer", "callback-unreachable")
"""The other prompts of a callback, in their order; a language may lack them."""


class Voices(msgspec.Struct, frozen=True):
    """What prompts are made with."""

    library: Library
    language: str
    """For jobs that name none."""
    engine: Engine | None = None
    """Speaks free text, where there is one."""

    def __repr__(self) -> str:
        return "Voices(…)"


class Said(msgspec.Struct, frozen=True):
    """A job's prompts: the sounds of each, and how long each lasts in ms, 0 for none. The lengths tell
    something of a code and are not stored, but for `seconds`, which are rounded up."""

    script: Script
    ms: tuple[int, ...]

    @property
    def seconds(self) -> tuple[int, ...]:
        return tuple(rounded(each / 1000) for each in self.ms)

    def __repr__(self) -> str:
        return "Said(…)"


NOTHING: Final = Said(Script((), 0), ())


def rounded(seconds: float) -> int:
    return ROUNDING * math.ceil(seconds / ROUNDING)


def prompts_of(job: Job, voices: Voices, faults: list[Fault]) -> Said:
    """Everything that the job's call may have to say. What cannot be said is added to `faults`.

    May block for seconds where an engine speaks.
    """
    before = len(faults)
    match job.kind:
        case Kind.CODE:
            playlists = _template(job, voices, faults)
        case Kind.NOTICE:
            gate = _gate(job, voices, faults)
            if job.items is None:
                playlists = [*gate, *_template(job, voices, faults)]
            else:
                playlists = [*gate, *_items(job, voices, faults) * job.plays]
        case Kind.CALLBACK:
            playlists = _callback(job, voices, faults)
    if len(faults) > before:
        return NOTHING
    ms = tuple(map(length, playlists))
    if job.kind is not Kind.CALLBACK and sum(ms) > job.longest * 1000:
        needed = rounded(sum(ms) / 1000)
        faults.append(
            Fault("$.max_duration", f"the prompt takes up to {needed} s in all; raise it, or lower plays.")
        )
        return NOTHING
    sounds = tuple(tuple(item.sound for item in playlist) for playlist in playlists)
    return Said(Script(sounds, rounded(max(ms) / 1000)), ms)


def _template(job: Job, voices: Voices, faults: list[Fault]) -> list[Playlist]:
    try:
        prepared = prepare(
            voices.library,
            job.language or voices.language,
            job.template or job.kind.value,
            code=job.code,
            variables=job.variables,
            plays=job.plays,
            default_language=voices.language,
            engine=voices.engine,
        )
    except PromptError as error:
        faults.append(_fault(error, "$.template", "$.variables"))
        return []
    return list(prepared.plays)


def _gate(job: Job, voices: Voices, faults: list[Fault]) -> list[Playlist]:
    if job.gate is None:
        return []
    variables = {**job.variables, "digit": job.gate.digit}
    return _said(job, voices, faults, "$.gate", template=job.gate.template, variables=variables)


def _items(job: Job, voices: Voices, faults: list[Fault]) -> list[Playlist]:
    if job.items is None:
        return _said(job, voices, faults, "$", template=job.template, variables=job.variables)
    playlists: list[Playlist] = []
    for n, item in enumerate(job.items):
        if playlists:
            playlists[-1] += (voices.library.silences[BETWEEN_ITEMS],)
        playlists += _said(
            job,
            voices,
            faults,
            f"$.items[{n}]",
            template=item.template,
            sound=item.sound,
            text=item.text,
            variables={**job.variables, **item.variables},
        )
    return playlists


def _callback(job: Job, voices: Voices, faults: list[Fault]) -> list[Playlist]:
    first: Playlist = ()
    if job.template is not None or job.items is not None:
        for playlist in _items(job, voices, faults):
            first += playlist
    announced: Playlist = ()
    if job.record:
        for playlist in _said(job, voices, faults, "$.record", template=ANNOUNCED, variables={}):
            announced = playlist
    return [first, announced, *(_told(job, voices, name) for name in TOLD)]


def _told(job: Job, voices: Voices, template: str) -> Playlist:
    """A prompt that a language may lack: then nothing is said."""
    try:
        return prepare_item(
            voices.library,
            job.language or voices.language,
            template=template,
            variables={},
            default_language=voices.language,
        ).playlist
    except PromptError:
        return ()


def _said(
    job: Job,
    voices: Voices,
    faults: list[Fault],
    path: str,
    *,
    template: str | None = None,
    sound: str | None = None,
    text: str | None = None,
    variables: Mapping[str, str | int | float],
) -> list[Playlist]:
    """One prompt, or none and a fault at `path`."""
    try:
        prepared = prepare_item(
            voices.library,
            job.language or voices.language,
            template=template,
            sound=sound,
            text=text,
            variables=variables,
            default_language=voices.language,
            engine=voices.engine,
        )
    except PromptError as error:
        which = "template" if template is not None else "sound" if sound is not None else "text"
        prompt = path if path == "$.record" else f"{path}.{which}"
        own = template is not None and path.startswith("$.items")
        named = f"{path}.variables" if own else "$.variables" if template is not None else prompt
        faults.append(_fault(error, prompt, named))
        return []
    return [prepared.playlist]


def _fault(error: PromptError, prompt: str, variables: str) -> Fault:
    match error:
        case LanguageInvalid():
            return Fault("$.language", str(error))
        case VariablesInvalid():
            return Fault(variables, str(error))
        case _:
            return Fault(prompt, str(error))
