"""`orchestrator virtual-pbx`: a PBX for trials and tests, with callees by number and faults at will."""

import asyncio
import contextlib
import signal
from pathlib import Path

import click
import uvloop
from msgspec.structs import replace

from orchestrator.cli.fail import UNUSABLE, Failure
from orchestrator.cli.options import config_option, json_option, print_json, read_config
from orchestrator.clock import steady_clock
from orchestrator.config import Pbx as PbxConfig
from orchestrator.pbx.virtual.options import address, is_loopback
from orchestrator.pbx.virtual.pbx import DEFAULT_PASSWORD, Settings, VirtualPbx, running
from orchestrator.setup import virtual_settings

ARI, ESL, CONTROL = "127.0.0.1:8088", "127.0.0.1:8021", "127.0.0.1:8099"


@click.command("virtual-pbx")
@click.option("--ari", default=ARI, show_default=True, metavar="HOST:PORT", help="Where ARI is; or `off`.")
@click.option("--esl", default=ESL, show_default=True, metavar="HOST:PORT", help="Where ESL is; or `off`.")
@click.option("--control", default=CONTROL, show_default=True, metavar="HOST:PORT", help="Control; or `off`.")
@click.option("--speed", type=click.FloatRange(0, 1000, min_open=True), help="Times faster than the clock.")
@click.option(
    "--sounds", multiple=True, metavar="DIR", help="A PBX's folder of sounds; more than one may be."
)
@click.option("--recordings", metavar="DIR", help="Where recordings over ESL become files.")
@click.option("--keep-heard", type=click.IntRange(0), metavar="N", help="Ended calls whose sound is kept.")
@config_option
@json_option
def virtual_pbx(
    ari: str,
    esl: str,
    control: str,
    speed: float | None,
    sounds: tuple[str, ...],
    recordings: str | None,
    keep_heard: int | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Run a virtual PBX until SIGTERM or Ctrl-C: Asterisk's ARI, FreeSWITCH's ESL, nobody's phone.

    The callees are the lab's: +12025550100 answers, +12025550101 is busy, and so on. Port 0 means any free
    one. With -c it behaves as the first node of kind = "virtual" in the configuration says, password too.
    """
    node = _node(config_file)
    settings = virtual_settings(node)
    settings = replace(
        settings,
        ari=_address(ari, "--ari"),
        esl=_address(esl, "--esl"),
        control=_address(control, "--control"),
        speed=settings.speed if speed is None else speed,
        folders=tuple(Path(folder) for folder in sounds),
        recordings=settings.recordings if recordings is None else Path(recordings).absolute(),
        keep_heard=settings.keep_heard if keep_heard is None else keep_heard,
    )
    if settings.control is not None and not is_loopback(settings.control[0]):
        raise Failure("--control listens on loopback only: it lets codes be heard.", UNUSABLE)
    open_to_all = [where for where in (settings.ari, settings.esl) if where and not is_loopback(where[0])]
    if open_to_all and node.password is None:
        raise Failure("beyond loopback it wants a password: name a configuration with one.", UNUSABLE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, as_json))


def _node(config_file: str | None) -> PbxConfig:
    """The node that it is to be like. Raises `Failure`, `ConfigError`."""
    if config_file is None:
        return PbxConfig(
            name="virtual", kind="virtual", url="http://127.0.0.1:0/ari", dial="PJSIP/{number}@lab"
        )
    for pbx in read_config(config_file).pbx:
        if pbx.kind == "virtual":
            return pbx
    raise Failure(f'{config_file} has no [[pbx]] of kind = "virtual".', UNUSABLE)


def _address(listen: str, option: str) -> tuple[str, int] | None:
    if listen == "off":
        return None
    try:
        return address(listen)
    except ValueError as error:
        raise Failure(f"{option} {error}", UNUSABLE) from None


async def _run(settings: Settings, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with contextlib.AsyncExitStack() as stack:
            pbx = await stack.enter_async_context(running(settings, steady_clock()))
            _say(pbx, as_json)
            await stop.wait()
    except OSError as error:
        raise Failure(
            f"the virtual PBX cannot listen: {error.strerror}. Free the address, or name another one.",
            UNUSABLE,
        ) from None


def _say(pbx: VirtualPbx, as_json: bool) -> None:
    if as_json:
        print_json(pbx.addresses())
        return
    where = pbx.addresses()
    known = pbx.settings.password == DEFAULT_PASSWORD
    secret = f"password {pbx.settings.password}" if known else "the configuration's password"
    if "ari" in where:
        click.echo(f"ARI      {where['ari']}  user {pbx.settings.username}, {secret}")
    if "esl" in where:
        click.echo(f"ESL      {where['esl']}  {secret}")
    if "control" in where:
        click.echo(f"control  {where['control']}  whoever reaches it may hear codes")
    click.echo("Dial PJSIP/{number}@lab or sofia/gateway/lab/{number}: +12025550100 answers. Ctrl-C ends it.")
