"""The configuration: one TOML file, environment variables over it, secrets from files.

`ORCHESTRATOR__LEDGER__URL=…` overrides `[ledger] url`; members of a list are numbered from 0:
`ORCHESTRATOR__PBX__0__PASSWORD=…`. A secret `x` may instead be named by `x_file`. Relative paths start at the
folder of the configuration file, so that every command finds the same ledger from wherever it is called.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from orchestrator.environ import override
from orchestrator.http.settings import Http, faults_of_http
from orchestrator.intake.options import REPLY_SCHEME, Intake, faults_of_intakes
from orchestrator.job import E164, LanguageTag
from orchestrator.ledger.limits import CallLimits, faults_of_limits
from orchestrator.pbx.virtual.options import Virtual, faults_of_virtual
from orchestrator.speech.settings import Speech, faults_of_speech
from orchestrator.validate import Fault, Invalid, convert

OWN_SOUNDS = "own-sounds"
"""The folder beside the configuration with the operator's own recordings, in `own/`."""
SPOKEN = "spoken"
"""The folder beside the configuration with what speech engines rendered, where no real PBX reads it."""
SEARCHED = (Path("orchestrator.toml"), Path("/etc/orchestrator/orchestrator.toml"))

Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,64}(?![\s\S])", description="1 to 64 of A-Z a-z 0-9 _ -")
]
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]


class ConfigError(Exception):
    """The configuration cannot be used. The message names every fault and its mend."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        """Secrets live in here, so a section prints as its name alone."""
        return f"{type(self).__name__}(…)"


class Worker(_Section, frozen=True, kw_only=True):
    """Who this worker is, and how it stops."""

    name: Name = "orchestrator"
    drain_timeout: Annotated[float, Meta(ge=0)] = 30.0
    """Seconds that live calls get to finish after SIGTERM."""
    lease: Annotated[float, Meta(ge=2, le=3600)] = 10.0
    """Seconds without a sign of life after which another worker on the same ledger takes over."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Ledger(_Section, frozen=True, kw_only=True):
    """Where jobs, calls and undelivered notifications are kept."""

    url: str = "sqlite:///ledger.db"
    key: str | None = None
    key_file: str | None = None
    """32 bytes in base64 that encrypt codes at rest. Made beside the ledger when not given."""
    keep_days: Annotated[float, Meta(gt=0)] = 30.0
    """Days after which an ended job is forgotten."""
    commit_interval: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Seconds between two transactions whose writes nobody waits for. After a quiet time there is no wait."""
    max_queued: Positive = 20_000
    """Writes that may wait for their commit; beyond it no new call starts."""


class Pbx(_Section, frozen=True, kw_only=True):
    """One PBX node."""

    name: Name
    kind: Literal["asterisk", "freeswitch", "virtual"] = "asterisk"
    url: str
    username: str = "orchestrator"
    password: str | None = None
    password_file: str | None = None
    app: Name = "orchestrator"
    """The Stasis application; in FreeSWITCH the mark of our channels. It must be this worker's alone: calls
    in it that nobody knows are hung up."""
    dial: str
    """How to dial, such as `PJSIP/{number}@carrier` or `sofia/gateway/carrier/{number}`: `{number}` is digits
    only, `{e164}` with its plus."""
    caller_ids: tuple[E164, ...] = ()
    """The caller IDs that may be shown; the first is the default."""
    max_cps: Annotated[float, Meta(gt=0, le=1000)] = 10.0
    """Calls started a second, evenly spaced, when the node can bear it."""
    max_calls: Positive = 100
    """Calls at the same time."""
    weight: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """The node's part of the calls, beside the other nodes', while those have room too."""
    transport: Literal["auto", "websocket", "http"] = "auto"
    """How requests travel: over the events' WebSocket (Asterisk 20.14, 21.9, 22.4 and later) or over HTTP."""
    sounds: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_/\-]{1,128}(?![\s\S])")] = "orchestrator"
    """The folder of our sounds, as the PBX names it."""
    recordings: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9_./+\-]{1,255}(?![\s\S])")] = (
        "/var/lib/freeswitch/recordings/orchestrator"
    )
    """The folder where a FreeSWITCH writes recordings, as it and the worker both see it."""
    request_timeout: Seconds = 5.0
    max_queued: Positive = 10_000
    """Events that may wait for us; beyond it the connection is closed and reconciled."""
    virtual: Virtual | None = None
    """How the virtual PBX behaves, for `kind = "virtual"`."""


class Notify(_Section, frozen=True, kw_only=True):
    """Where notifications go when a job does not say."""

    url: str | None = None
    secret: str | None = None
    secret_file: str | None = None
    secrets: tuple[str, ...] = ()
    """More secrets, while receivers change over: each notification is signed by all."""
    allow_networks: tuple[str, ...] = ()
    """Private networks that a job's own webhook address may lead to, as CIDR."""
    timeout: Seconds = 15.0
    per_receiver: Positive = 16
    """Deliveries at the same time to one receiver."""
    max_deliveries: Positive = 256
    """Deliveries at the same time to all receivers."""
    max_queued: Positive = 10_000
    """Notifications held in memory; the rest wait in the ledger."""
    cdr_interval: Seconds = 2.0
    """Seconds after which CDRs are sent, though fewer than 50."""


class Prompts(_Section, frozen=True, kw_only=True):
    """Languages, templates and sounds."""

    language: LanguageTag = "en"
    library: tuple[str, ...] = ()
    """Folders with a folder for each language, over the ones that come along."""
    templates: str | None = None
    """A folder of the operator's own templates: `<name>.ssml` or `<language>/<name>.ssml`."""


class Callback(_Section, frozen=True, kw_only=True):
    """How callbacks go."""

    warn_before: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """Seconds before the longest duration at which its end is announced; 0 for never."""
    warn_to: Literal["caller", "callee", "both"] = "both"
    keep_days: Annotated[float, Meta(gt=0)] = 7.0
    """Days after which a recording is deleted from its PBX."""


class Jobs(_Section, frozen=True, kw_only=True):
    """What is accepted."""

    min_code_digits: Annotated[int, Meta(ge=2, le=10)] = 4


class Keys(_Section, frozen=True, kw_only=True):
    """All that a configuration may say."""

    worker: Worker = Worker()
    ledger: Ledger = Ledger()
    pbx: tuple[Pbx, ...] = ()
    http: Http | None = None
    notify: Notify = Notify()
    prompts: Prompts = Prompts()
    speech: Speech | None = None
    """Speech engines and what they render; without it, those that are found here, as they come."""
    jobs: Jobs = Jobs()
    callback: Callback = Callback()
    limits: CallLimits = CallLimits()
    intake: tuple[Intake, ...] = ()


class Config(Keys, frozen=True, kw_only=True):
    """The whole configuration."""

    folder: Path = Path()
    """Where relative paths start: the folder of the file this was read from. Not a key."""

    def path(self, relative: str) -> Path:
        """`relative` as seen from the configuration file."""
        return self.folder / Path(relative).expanduser()

    @property
    def caller_ids(self) -> frozenset[str]:
        """Every caller ID that some node may show."""
        return frozenset(number for pbx in self.pbx for number in pbx.caller_ids)


def find_config(given: str | None, environ: Mapping[str, str]) -> Path:
    """The file to read: as given, as `ORCHESTRATOR_CONFIG` says, else the first that is there.

    Raises `ConfigError` when there is none.
    """
    named = given or environ.get("ORCHESTRATOR_CONFIG")
    if named:
        return Path(named)
    for path in SEARCHED:
        if path.is_file():
            return path
    looked = " or ".join(str(path) for path in SEARCHED)
    raise ConfigError(f"no configuration: looked for {looked}. Name one with -c FILE.")


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration.

    Raises `ConfigError`, naming every fault.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    try:
        override(data, Keys, environ)
        config = Config(**msgspec.structs.asdict(convert(data, Keys, path="")), folder=path.parent)
        config = _with_folders(_with_secrets(config))
        _check(config)
    except Invalid as invalid:
        faults = "".join(f"\n  {fault.path.lstrip('.')}: {fault.message}" for fault in invalid.faults)
        raise ConfigError(f"{path} cannot be used:{faults}") from None
    return config


def _with_secrets(config: Config) -> Config:
    faults: list[Fault] = []
    pbx = tuple(
        replace(p, password=_secret(config, p.password, p.password_file, f"pbx[{n}].password", faults))
        for n, p in enumerate(config.pbx)
    )
    notify, ledger = config.notify, config.ledger
    secret = _secret(config, notify.secret, notify.secret_file, "notify.secret", faults)
    key = _secret(config, ledger.key, ledger.key_file, "ledger.key", faults)
    intake = tuple(
        replace(i, url=_secret(config, i.url, i.url_file, f"intake[{n}].url", faults))
        for n, i in enumerate(config.intake)
    )
    if faults:
        raise Invalid(faults)
    config = replace(config, intake=intake)
    return replace(config, pbx=pbx, notify=replace(notify, secret=secret), ledger=replace(ledger, key=key))


def _with_folders(config: Config) -> Config:
    """A virtual PBX has the sounds of the operator's own library as well, wherever we are called from."""

    def whole(pbx: Pbx) -> Pbx:
        virtual = pbx.virtual or Virtual()
        spoken = config.speech.folder if config.speech is not None and config.speech.folder else None
        above = str(Path(spoken).parent) if spoken else SPOKEN
        ours = (*config.prompts.library, OWN_SOUNDS, above, *virtual.library)
        folders = tuple(str(config.path(each)) for each in ours)
        return replace(pbx, virtual=replace(virtual, library=folders))

    return replace(config, pbx=tuple(whole(p) if p.kind == "virtual" else p for p in config.pbx))


def _secret(
    config: Config, value: str | None, file: str | None, name: str, faults: list[Fault]
) -> str | None:
    if file is None:
        return value
    if value is not None:
        faults.append(Fault(name, f"given twice: keep either `{name}` or `{name}_file`."))
        return None
    try:
        secret = config.path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        faults.append(Fault(f"{name}_file", f"{config.path(file)} cannot be read: {why}."))
        return None
    if not secret:
        faults.append(Fault(f"{name}_file", f"{config.path(file)} is empty."))
    return secret


def _check(config: Config) -> None:
    faults: list[Fault] = []
    for n, pbx in enumerate(config.pbx):
        at = f"pbx[{n}]"
        if pbx.name in {other.name for other in config.pbx[:n]}:
            faults.append(Fault(f"{at}.name", f"`{pbx.name}` is taken by another [[pbx]]."))
        if pbx.kind != "virtual" and _place(pbx) in map(_place, config.pbx[:n]):
            # They would take each other's events, and hang up each other's calls as strays.
            shared = f"`{pbx.app}` is used by another [[pbx]] with this url; give each its own app."
            faults.append(Fault(f"{at}.app", shared))
        faults += _faults_of_pbx(at, pbx)
    if config.ledger.url.startswith(("postgresql:", "postgres:")):
        if config.ledger.key is None:
            mend = "make one with: openssl rand -base64 32"
            faults.append(
                Fault("ledger.key_file", f"required with PostgreSQL: every worker needs the same; {mend}")
            )
    elif not config.ledger.url.removeprefix("sqlite:///") or not config.ledger.url.startswith("sqlite:///"):
        faults.append(
            Fault(
                "ledger.url",
                "must name a file (sqlite:///ledger.db, or four slashes and a full path) or a server"
                " (postgresql://user@host/database).",
            )
        )
    unkept = faults_of_limits(config.limits, config.ledger.keep_days)
    faults += (Fault(f"limits.{key}", unfit) for key, unfit in unkept)
    faults += faults_of_intakes(config.intake, config.notify.url)
    posted = config.notify.url is not None and not config.notify.url.startswith(REPLY_SCHEME)
    if config.notify.url is not None and posted and not _is_url(config.notify.url, "http", "https"):
        faults.append(Fault("notify.url", "must be an http or https address."))
    if posted and config.notify.secret is None and not config.notify.secrets:
        faults.append(Fault("notify.secret", "required with notify.url: notifications are always signed."))
    faults += (Fault(f"speech.{key}", unfit) for key, unfit in faults_of_speech(config.speech or Speech()))
    if config.http is not None:
        faults += (Fault(f"http.{key}", unfit) for key, unfit in faults_of_http(config.http))
    for n, network in enumerate(config.notify.allow_networks):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            faults.append(Fault(f"notify.allow_networks[{n}]", "not a network such as 10.0.0.0/8."))
    if faults:
        raise Invalid(faults)


def _place(pbx: Pbx) -> tuple[str, str]:
    """Where a node's channels live."""
    return pbx.url.rstrip("/").lower(), pbx.app


def _faults_of_pbx(at: str, pbx: Pbx) -> Iterator[Fault]:
    if pbx.kind == "virtual":
        for key, unfit in faults_of_virtual(pbx.url, pbx.dial, pbx.virtual):
            yield Fault(f"{at}.{key}", unfit)
        return
    if pbx.virtual is not None:
        yield Fault(f"{at}.virtual", 'is for kind = "virtual" only.')
    freeswitch = pbx.kind == "freeswitch"
    if pbx.dial.count("{number}") + pbx.dial.count("{e164}") != 1:
        example = "sofia/gateway/carrier/{number}" if freeswitch else "PJSIP/{number}@carrier"
        yield Fault(f"{at}.dial", f"must hold {{number}} or {{e164}} once: {example}.")
    if freeswitch and not _is_url(pbx.url, "esl"):
        yield Fault(f"{at}.url", "must be the address of an event socket such as esl://127.0.0.1:8021.")
    if not freeswitch and not _is_url(pbx.url, "http", "https"):
        yield Fault(f"{at}.url", "must be an http or https address such as http://127.0.0.1:8088/ari.")
    if pbx.password is None:
        yield Fault(f"{at}.password", "required; better as password_file.")


def _is_url(url: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
