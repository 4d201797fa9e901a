"""`orchestrator run`: the worker as a process."""

import asyncio
import contextlib
import os
import resource
import signal

import click
import structlog
import uvloop

from orchestrator import __version__, systemd
from orchestrator.cli.logs import configure_logs
from orchestrator.cli.options import check_ledger_folder, config_option, read_config
from orchestrator.clock import steady_clock
from orchestrator.config import Config, ConfigError
from orchestrator.http.settings import keys_note
from orchestrator.ledgers import name_of
from orchestrator.running import run_worker

_log = structlog.get_logger(__name__)


@click.command()
@config_option
def run(config_file: str | None) -> None:
    """Run the worker: dial what is due, tell receivers, until SIGTERM or Ctrl-C.

    The first signal drains: nothing new is dialled, live calls get worker.drain_timeout seconds. A second one
    ends at once; the next start takes up what was left. Where another worker has the ledger, this one stands
    by and takes over when that one dies or stalls. The log goes to standard error, as JSON lines unless
    that is a terminal.
    """
    config = read_config(config_file)
    if not config.pbx:
        raise ConfigError("no PBX is configured: add a [[pbx]] section")
    check_ledger_folder(config)
    configure_logs(config.worker.log_level)
    _raise_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config))
    _log.info("worker_stopped", worker=config.worker.name)


async def _run(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, stop, number)
    alive = asyncio.create_task(systemd.keep_alive())
    try:
        await _work(config, stop)
    finally:
        systemd.tell("STOPPING=1")
        alive.cancel()
        await asyncio.wait([alive])


async def _work(config: Config, stop: asyncio.Event) -> None:
    await run_worker(
        config,
        stop,
        steady_clock(),
        begun=lambda: _say_hello(config),
        started=lambda worker: systemd.tell("READY=1", "STATUS=working"),
        standing_by=lambda owner: _stand_by(config, owner),
    )


def _signalled(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        _log.warning("worker_killed", signal=number.name, note="the next start takes up what was left")
        os._exit(128 + number)
    systemd.tell("STOPPING=1", "STATUS=draining")
    _log.info("worker_stopping", signal=number.name, note="once more ends at once")
    stop.set()


def _stand_by(config: Config, owner: str) -> None:
    systemd.tell("READY=1", f"STATUS=standing by for {owner}")
    _log.info(
        "worker_standing_by",
        worker=config.worker.name,
        owner=owner,
        ledger=name_of(config),
        note="takes over when the owner dies or stalls",
    )


def _say_hello(config: Config) -> None:
    listen = f"http://{config.http.listen}, {keys_note(config.http)}" if config.http else "off"
    _log.info(
        "worker_starting",
        worker=config.worker.name,
        version=__version__,
        ledger=name_of(config),
        nodes=[f"{pbx.name} ({pbx.kind} at {pbx.url})" for pbx in config.pbx],
        notify=config.notify.url or "only where jobs say",
        http=listen,
    )


def _raise_open_files() -> None:
    """Use as many open files as the system allows: the usual soft limit of 1024 is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
