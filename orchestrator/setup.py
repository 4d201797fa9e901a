"""From the configuration to the things that the rooms are made of. Nothing here runs; it only builds."""

import ipaddress
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from orchestrator.clock import Clock
from orchestrator.config import OWN_SOUNDS, SPOKEN, Config, ConfigError
from orchestrator.config import Pbx as PbxConfig
from orchestrator.guard.keyfile import KeyFile, KeysUnusable
from orchestrator.guard.seal import Seal, SealError, key_beside, parse_key
from orchestrator.intake.accept import Callbacks, Rules
from orchestrator.intake.options import REPLY_SCHEME
from orchestrator.intake.say import Voices
from orchestrator.notify.errors import NotifyError
from orchestrator.notify.settings import NotifySettings
from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.places import FORMATS, GUESSES, PLAYED, guess_folder
from orchestrator.pbx.port import Pbx, Sink
from orchestrator.pbx.virtual.options import Virtual, address_of
from orchestrator.prompts import Library, PromptError, load_library, packaged_root
from orchestrator.speech import SpeechEngine, open_engine
from orchestrator.speech.settings import Speech

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.pbx import Settings


def ledger_path(config: Config) -> Path:
    """The file of the embedded ledger."""
    return config.path(config.ledger.url.removeprefix("sqlite:///"))


def is_shared(config: Config) -> bool:
    """Whether the ledger is one that any number of workers may have."""
    return config.ledger.url.startswith(("postgresql:", "postgres:"))


def load_seal(config: Config) -> Seal:
    """The seal with the configured key, or the one beside the ledger.

    Raises `ConfigError`.
    """
    try:
        key = parse_key(config.ledger.key) if config.ledger.key else key_beside(ledger_path(config))
        return Seal(key)
    except SealError as error:
        raise ConfigError(str(error)) from None


def looking_seal(config: Config) -> Seal:
    """The seal where there is one, else one of the moment: whoever only looks makes no key.

    Raises `ConfigError`.
    """
    beside = ledger_path(config)
    there = config.ledger.key or beside.with_name(f"{beside.name}.key").exists()
    return load_seal(config) if there else Seal(os.urandom(32))


def load_prompts(config: Config) -> Library:
    """The library of sounds and templates.

    Raises `ConfigError`.
    """
    roots = [packaged_root(), *(config.path(folder) for folder in config.prompts.library)]
    own = config.path(OWN_SOUNDS)
    if own.is_dir():
        roots.append(own)
    templates = [config.path(config.prompts.templates)] if config.prompts.templates else []
    try:
        library = load_library(roots, templates)
        library.resolve(config.prompts.language, config.prompts.language)
    except PromptError as error:
        raise ConfigError(f"prompts: {error}") from None
    return library


def voices(config: Config, library: Library, seal: Seal | None = None) -> Voices:
    """What prompts are made with; free text too, where there is a `seal` to name its sounds with."""
    engine = load_speech(config, seal.fingerprint) if seal is not None else None
    return Voices(library, config.prompts.language, engine)


def load_speech(config: Config, fingerprint: Callable[[bytes], bytes]) -> SpeechEngine | None:
    """The speech engines of this machine; None when speech is switched off.

    `fingerprint`: a worker's and an intake's `Seal.fingerprint`, so that they share what was rendered.
    """
    kinds = {pbx.kind for pbx in config.pbx} & PLAYED.keys()
    played = {each for kind in kinds for each in PLAYED[kind]} or set(FORMATS if not config.pbx else ("wav",))
    return open_engine(
        config.speech or Speech(),
        folder=speech_folder(config),
        formats=sorted(played),
        fingerprint=fingerprint,
        root=config.folder,
    )


def speech_folder(config: Config) -> Path:
    """Where spoken sounds are kept: as configured, else where the first real PBX reads its sounds on this
    machine, else beside the configuration."""
    if config.speech is not None and config.speech.folder is not None:
        return config.path(config.speech.folder)
    for pbx in config.pbx:
        if pbx.kind in PLAYED:
            sounds = guess_folder(pbx.kind) or Path(GUESSES[pbx.kind][0])
            return sounds / pbx.sounds / "speech"
    return config.path(SPOKEN) / "speech"


def rules(config: Config, library: Library, seal: Seal) -> Rules:
    """What the intake checks jobs against."""
    return Rules(
        voices=voices(config, library, seal),
        seal=seal,
        min_code_digits=config.jobs.min_code_digits,
        caller_ids=config.caller_ids,
        notify_url=config.notify.url,
        signs=bool(secrets_of(config)),
        callbacks=Callbacks(warn_before=config.callback.warn_before, warn_to=config.callback.warn_to),
        caller_sets=tuple(frozenset(pbx.caller_ids) for pbx in config.pbx),
        allow_networks=tuple(ipaddress.ip_network(net) for net in config.notify.allow_networks),
    )


def load_keys(config: Config) -> KeyFile | None:
    """The keys of the HTTP API; None where no file for them is configured.

    Raises `ConfigError`.
    """
    if config.http is None or config.http.keys is None:
        return None
    try:
        return KeyFile(config.path(config.http.keys))
    except KeysUnusable as fault:
        raise ConfigError(f"http.keys: {fault}") from None


def secrets_of(config: Config) -> tuple[str, ...]:
    """Every secret that notifications are signed with, the current one first."""
    first = (config.notify.secret,) if config.notify.secret else ()
    return (*first, *config.notify.secrets)


def notify_settings(config: Config) -> NotifySettings:
    """The notifier's settings.

    Raises `ConfigError`.
    """
    notify = config.notify
    try:
        return NotifySettings(
            worker=config.worker.name,
            secrets=secrets_of(config),
            url=None if (notify.url or "").startswith(REPLY_SCHEME) else notify.url,
            allow=tuple(ipaddress.ip_network(net) for net in notify.allow_networks),
            timeout=notify.timeout,
            connect_timeout=min(5.0, notify.timeout),
            per_receiver=notify.per_receiver,
            in_flight=notify.max_deliveries,
            max_queued=notify.max_queued,
        )
    except NotifyError as error:
        raise ConfigError(f"notify: {error}") from None


def ari_settings(pbx: PbxConfig, app: str | None = None) -> AriSettings:
    """One node's settings, under another Stasis app name when `app` is given.

    Raises `ConfigError`.
    """
    try:
        return AriSettings(
            name=pbx.name,
            url=pbx.url,
            username=pbx.username,
            password=pbx.password or "",
            app=app or pbx.app,
            dial=pbx.dial,
            transport=pbx.transport,
            sounds_prefix=pbx.sounds,
            request_timeout=pbx.request_timeout,
            originate_timeout=pbx.request_timeout,
            max_inflight=max(1000, 4 * pbx.max_calls),
        )
    except PbxConfigError as error:
        raise ConfigError(str(error)) from None


def esl_settings(pbx: PbxConfig, app: str | None = None) -> EslSettings:
    """One FreeSWITCH node's settings, under another name of ours when `app` is given.

    Raises `ConfigError`.
    """
    try:
        return EslSettings(
            name=pbx.name,
            url=pbx.url,
            password=pbx.password or "",
            app=app or pbx.app,
            dial=pbx.dial,
            sounds_folder=pbx.sounds,
            recordings_folder=pbx.recordings,
            request_timeout=pbx.request_timeout,
            originate_timeout=pbx.request_timeout,
            max_inflight=max(1000, 4 * pbx.max_calls),
        )
    except PbxConfigError as error:
        raise ConfigError(str(error)) from None


def make_pbx(
    pbx: PbxConfig,
    sink: Sink,
    clock: Clock,
    app: str | None = None,
    reacted: Callable[[float], None] = lambda seconds: None,
    may_connect: Callable[[], bool] = lambda: True,
) -> Pbx:
    """The adapter of one node. `may_connect` is asked before each connection to an Asterisk.

    Raises `ConfigError`.
    """
    if pbx.kind == "virtual":
        return virtual_node(pbx, sink, clock, app, reacted)
    chance = random.SystemRandom()
    if pbx.kind == "freeswitch":
        return EslPbx(esl_settings(pbx, app), sink, clock=clock, random=chance, reacted=reacted)
    return AriPbx(
        ari_settings(pbx, app), sink, clock=clock, random=chance, reacted=reacted, may_connect=may_connect
    )


def virtual_node(
    pbx: PbxConfig, sink: Sink, clock: Clock, app: str | None, reacted: Callable[[float], None]
) -> Pbx:
    """A node whose PBX runs in here, spoken to over a real socket: in ESL where its url says so, else in ARI.

    Raises `ConfigError`.
    """
    # Only who uses it loads it.
    from orchestrator.pbx.virtual.node import VirtualNode
    from orchestrator.pbx.virtual.pbx import VirtualPbx

    settings = virtual_settings(pbx)

    def connect(virtual: VirtualPbx) -> Pbx:
        kind: Literal["asterisk", "freeswitch"] = "freeswitch" if settings.esl is not None else "asterisk"
        url = virtual.esl_url if settings.esl is not None else virtual.ari_url
        real = replace(pbx, kind=kind, url=url, password=settings.password)
        return make_pbx(real, sink, clock, app, reacted)

    return VirtualNode(pbx.name, settings, connect, sink, clock)


def virtual_settings(pbx: PbxConfig) -> "Settings":
    """What the virtual PBX of a node is like."""
    from orchestrator.pbx.virtual.pbx import DEFAULT_PASSWORD, settings_of

    virtual = pbx.virtual or Virtual()
    where = address_of(pbx.url)
    esl = pbx.url.startswith("esl:")
    mounts = {pbx.sounds: (packaged_root(), *(Path(folder) for folder in virtual.library))}
    settings = settings_of(virtual, mounts, pbx.username, pbx.password or DEFAULT_PASSWORD)
    return replace(
        settings,
        ari=None if esl else where,
        esl=where if esl else None,
        recordings=Path(pbx.recordings) if esl else None,
    )
