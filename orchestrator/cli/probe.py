"""A short look at a PBX node over a connection of its own, which takes nothing from a running worker."""

import asyncio
import secrets
from collections.abc import Sequence

from orchestrator.cli.fail import UNREACHABLE, UNUSABLE, Failure
from orchestrator.config import Config
from orchestrator.config import Pbx as PbxConfig
from orchestrator.pbx.ari import sounds
from orchestrator.pbx.ari.handshake import narrow_events, open_socket
from orchestrator.pbx.ari.pooled import open_session
from orchestrator.pbx.errors import PbxConfigError, PbxError
from orchestrator.pbx.esl.sounds import check as check_files
from orchestrator.pbx.esl.visit import visiting
from orchestrator.pbx.port import SoundCheck
from orchestrator.prompts import Library
from orchestrator.setup import ari_settings, esl_settings


def probe_app() -> str:
    """A Stasis application name that nobody else has."""
    return f"orchestrator-probe-{secrets.token_hex(4)}"


async def check_nodes(config: Config, library: Library) -> None:
    """See that calls could be made now.

    Raises `Failure`: 2 when any node refuses us for good, 3 when none can be reached.
    """
    faults = await asyncio.gather(*(_look(pbx, tuple(library.sounds)) for pbx in config.pbx))
    refusals = [fault for fault in faults if fault is not None and fault.exit_code == UNUSABLE]
    if refusals:
        raise refusals[0]
    if all(faults):
        raise Failure("\n".join(fault.message for fault in faults if fault), UNREACHABLE)


async def _look(pbx: PbxConfig, wanted: Sequence[str]) -> Failure | None:
    if pbx.kind == "virtual":
        return None  # it comes up with the worker, and has the sounds that come along
    sounds_of = _sounds_of_freeswitch if pbx.kind == "freeswitch" else _sounds_of_asterisk
    try:
        async with asyncio.timeout(pbx.request_timeout + 1):
            check = await sounds_of(pbx, wanted)
    except PbxConfigError as error:
        return Failure(str(error), UNUSABLE)
    except PbxError as error:
        return Failure(unreachable(pbx, str(error)), UNREACHABLE)
    except TimeoutError:
        return Failure(unreachable(pbx, f"pbx {pbx.name}: no answer in time"), UNREACHABLE)
    if check.missing:
        return Failure(missing_sounds(pbx, len(check.missing), check.checked, check.missing[0]), UNUSABLE)
    return None


async def _sounds_of_asterisk(pbx: PbxConfig, wanted: Sequence[str]) -> SoundCheck:
    settings = ari_settings(pbx, probe_app())
    async with open_session(settings) as http:
        events = await open_socket(http, settings, settings.app)
        try:
            await narrow_events(http, settings)
            return await sounds.check(http, settings, wanted)
        finally:
            await events.close()


async def _sounds_of_freeswitch(pbx: PbxConfig, wanted: Sequence[str]) -> SoundCheck:
    settings = esl_settings(pbx, probe_app())
    async with visiting(settings) as visit:
        return await check_files(visit.connection, settings, visit.sounds_dir, wanted)


def unreachable(pbx: PbxConfig, what: str) -> str:
    """A fault of the connection with its mend."""
    where = "" if pbx.url in what else f", at {pbx.url}"
    if pbx.kind == "freeswitch":
        running = (
            "Is FreeSWITCH running there, with mod_event_socket and this address in event_socket.conf.xml?"
        )
    else:
        running = "Is Asterisk running there, with enabled=yes and this address in http.conf?"
    return f"{what}{where}. {running} Else correct pbx.url."


def missing_sounds(pbx: PbxConfig, missing: int, checked: int, example: str) -> str:
    """Sounds that the node has not, with the mend."""
    return (
        f"pbx {pbx.name}: {missing} of {checked} sounds are not there, such as {pbx.sounds}/{example}. "
        "On the PBX's machine, run: orchestrator sounds install"
    )
