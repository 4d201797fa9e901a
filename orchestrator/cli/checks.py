"""What `doctor` looks at on this machine: the ledger, the clock, the prompts, the listener, the limits."""

import contextlib
import os
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from orchestrator import setup
from orchestrator.config import Config, ConfigError
from orchestrator.guard.keyfile import KeysUnusable, read_keys
from orchestrator.guard.seal import Seal, SealError, key_beside, parse_key
from orchestrator.http.settings import Http, keys_note
from orchestrator.ledger.errors import LedgerStuck, LedgerUnusable
from orchestrator.ledger.schema import MIGRATIONS
from orchestrator.ledgers import name_of, worker_runs, workers_of
from orchestrator.prompts import Library, check_templates

Level = Literal["ok", "warn", "fail"]

_FREE_FAIL: Final = 50 << 20
_FREE_WARN: Final = 1 << 30
_FILES_PER_CALL: Final = 1
_FILES_BASE: Final = 512
_EARLIEST: Final = 1_750_000_000  # mid-2025: before this program was


class Row(msgspec.Struct, frozen=True):
    """One thing looked at. `exit_code` is what a fault of it means: 2 to be configured, 3 to be reached."""

    level: Level
    what: str
    said: str
    mend: str = ""
    exit_code: int = 2


def check_ledger(config: Config) -> Iterator[Row]:
    """The ledger's folder, file, key and disk. Changes nothing."""
    if setup.is_shared(config):
        yield _check_server(config)
        yield _check_key(config, ledger_exists=True)
        return
    path = setup.ledger_path(config).absolute()
    folder = path.parent
    if not folder.is_dir():
        yield Row("fail", "ledger", f"the folder {folder} is not there", f"mkdir -p {folder}, or ledger.url")
        return
    writable = os.access(folder, os.W_OK | os.X_OK) and (
        not path.exists() or os.access(path, os.R_OK | os.W_OK)
    )
    if not writable:
        yield Row(
            "fail", "ledger", f"{path} cannot be written to", f"give it to this user (uid {os.getuid()})"
        )
        return
    if not path.exists():
        yield Row("ok", "ledger", f"{path} is not there yet; it is made at the first start")
    else:
        yield from _check_file(str(path))
    yield _check_key(config, path.exists())
    free = shutil.disk_usage(folder).free
    level: Level = "fail" if free < _FREE_FAIL else "warn" if free < _FREE_WARN else "ok"
    yield Row(level, "disk", f"{_size(free)} free at {folder}", "" if level == "ok" else "make room")


def _check_server(config: Config) -> Row:
    """The PostgreSQL that several workers share."""
    name = "postgresql"
    try:
        name = name_of(config)
        workers = workers_of(config)
    except LedgerStuck as error:
        return Row("fail", "ledger", str(error), "start PostgreSQL, or correct ledger.url", 3)
    except LedgerUnusable as error:
        return Row("fail", "ledger", str(error), "see ledger.url")
    if workers is None:
        return Row("ok", "ledger", f"{name} is empty yet; the ledger is made at the first start")
    return Row("ok", "ledger", f"{name}, workers: {', '.join(workers) or 'none runs'}")


def _check_file(path: str) -> Iterator[Row]:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                yield Row("fail", "ledger", f"{path} was written by a newer version", "install that version")
                return
            if version == 0:
                yield Row("fail", "ledger", f"{path} is no ledger", "name another file in ledger.url")
                return
            counts = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
            dead = int(db.execute("SELECT count(*) FROM outbox WHERE state = 'dead'").fetchone()[0])
            newest = db.execute("SELECT max(created_at) FROM jobs").fetchone()[0]
    except sqlite3.Error as error:
        yield Row("fail", "ledger", f"{path} cannot be read: {error}", "restore it, or name another file")
        return
    jobs = ", ".join(f"{counts[state]} {state}" for state in ("queued", "active", "ended") if state in counts)
    yield Row("ok", "ledger", f"{path}, schema {version}, {jobs or 'no jobs'}")
    if dead:
        yield Row(
            "warn",
            "dead letters",
            f"{dead} notifications were given up",
            "see them with: orchestrator deadletters list",
        )
    if newest is not None and newest > time.time() + 60:
        yield Row("fail", "clock", "the ledger holds jobs of the future", "set the clock; see that NTP runs")


def _check_key(config: Config, ledger_exists: bool) -> Row:
    beside = setup.ledger_path(config)
    beside = beside.with_name(beside.name + ".key")
    if not config.ledger.key and not beside.exists() and not ledger_exists:
        return Row("ok", "ledger key", f"{beside} is not there yet; it is made with the ledger")
    try:
        Seal(parse_key(config.ledger.key) if config.ledger.key else key_beside(setup.ledger_path(config)))
    except SealError as error:
        return Row("fail", "ledger key", str(error), "see ledger.key_file")
    if config.ledger.key:
        return Row("ok", "ledger key", "from the configuration")
    if beside.stat().st_mode & 0o077:
        return Row("warn", "ledger key", f"{beside} can be read by others", f"chmod 600 {beside}")
    return Row("ok", "ledger key", str(beside))


def check_clock() -> Iterator[Row]:
    """Signatures and times need a clock that is about right."""
    now = time.time()
    if now < _EARLIEST:
        yield Row(
            "fail", "clock", f"it says {time.strftime('%Y-%m-%d', time.gmtime(now))}", "set it; run NTP"
        )
    else:
        yield Row("ok", "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def load_prompts(config: Config) -> tuple[Library | None, list[Row]]:
    """The library, and whether each template can be spoken."""
    try:
        library = setup.load_prompts(config)
    except ConfigError as error:
        return None, [Row("fail", "prompts", str(error).removeprefix("prompts: "))]
    languages = ", ".join(
        f"{language.tag} ({counted(len(language.templates.names), 'template')})"
        for language in library.languages.values()
    )
    rows = [Row("ok", "prompts", f"{len(library.sounds)} sounds; {languages}")]
    try:
        engine = setup.load_speech(config, setup.looking_seal(config).fingerprint)
    except ConfigError:  # of the key, which has a line of its own
        engine = None
    rows += [
        Row("fail", "template", f"{fault.template} ({fault.language}): {fault.message}")
        for fault in check_templates(library, engine)
    ]
    language = library.resolve(config.prompts.language, config.prompts.language)
    if "code" not in language.templates.names:
        rows.append(
            Row(
                "fail",
                "template",
                f"{language.tag} has no template `code`",
                "write it, or set prompts.language",
            )
        )
    return library, rows


def check_worker(config: Config) -> Iterator[Row]:
    """Whether a worker runs, and whether its listener can be had."""
    runs = worker_runs(config)
    if runs:
        yield Row("ok", "worker", "one runs on this ledger")
    else:
        yield Row("warn", "worker", "none runs on this ledger", "orchestrator run, or a service of it")
    if config.http is None:
        yield Row("ok", "http", "off: there is no [http] section")
        return
    if runs:
        yield Row("ok", "http", f"{config.http.listen}, the worker's; {keys_note(config.http)}")
    else:
        yield _check_bind(config.http)
    if config.http.keys is not None:
        yield _check_keys(config.path(config.http.keys))


def _check_keys(path: Path) -> Row:
    try:
        count = len(read_keys(path))
    except KeysUnusable as fault:
        return Row("fail", "http keys", str(fault), "orchestrator keys list")
    if not count:
        return Row("warn", "http keys", "there are none, so nobody may come in", "orchestrator keys add NAME")
    return Row("ok", "http keys", f"{count} in {path}")


def _check_bind(http: Http) -> Row:
    listen = http.listen
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            return Row("fail", "http", f"{listen} cannot be used: {error.strerror}", "choose another port")
    return Row("ok", "http", f"{listen} is free; {keys_note(http)}")


def check_limits(config: Config) -> Iterator[Row]:
    """Open files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = (
        _FILES_BASE + config.notify.max_deliveries + _FILES_PER_CALL * sum(p.max_calls for p in config.pbx)
    )
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield Row(
            "warn", "open files", f"at most {hard}; {wanted} may be wanted", "LimitNOFILE=, or ulimit -n"
        )
    else:
        yield Row("ok", "open files", "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}")


def counted(number: int, noun: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
