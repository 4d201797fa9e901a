"""What `doctor` asks a FreeSWITCH node, over a connection of its own."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import Final

from orchestrator.cli.checks import Row
from orchestrator.cli.probe import probe_app, unreachable
from orchestrator.cli.speech_checks import Probe, heard
from orchestrator.config import ConfigError
from orchestrator.config import Pbx as PbxConfig
from orchestrator.pbx.errors import PbxConfigError, PbxError
from orchestrator.pbx.esl import sounds
from orchestrator.pbx.esl.commands import Command, module_exists
from orchestrator.pbx.esl.connection import Connection
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.visit import Visit, visiting
from orchestrator.prompts import Library
from orchestrator.setup import esl_settings

_VERSION: Final = re.compile(r"Version\s+([0-9][\w.]*)")
_PER_SECOND: Final = re.compile(r"per Sec out of max (\d+)")
_AT_ONCE: Final = re.compile(r"(\d+) session\(s\) max")
_LEVEL: Final = re.compile(r"\[(\d+)\]")
_GATEWAY: Final = re.compile(r"sofia/gateway/([A-Za-z0-9_.-]+)/.*")
_PROFILE: Final = re.compile(r"sofia/([A-Za-z0-9_.-]+)/.*")
_INFO: Final = 6
"""From here on the log has each application with its arguments: switch_core_session.c, "EXECUTE"."""
_TRUNK_MEND: Final = "configure it in sofia.conf.xml, or pbx.dial"
_DEFAULT_PASSWORD: Final = "ClueCon"  # noqa: S105 - everybody's, which is the point


async def check_freeswitch(pbx: PbxConfig, library: Library | None, probe: Probe | None = None) -> list[Row]:
    """All that can be asked of one node without a call. `probe`: a sound it should see."""
    what = f"pbx {pbx.name}"
    try:
        settings = esl_settings(pbx, probe_app())
    except ConfigError as error:
        return [Row("fail", what, str(error))]
    rows: list[Row] = []
    try:
        async with asyncio.timeout(3 * pbx.request_timeout), visiting(settings) as visit:
            async for row in _ask(visit, settings, pbx, library, probe):
                rows.append(row)  # noqa: PERF401 - what was found before a fault is kept
    except PbxConfigError as error:
        said, _, mend = str(error).removeprefix(f"{what}: ").partition("; ")
        rows.append(Row("fail", what, said, mend))
    except PbxError as error:
        rows.append(Row("fail", what, unreachable(pbx, str(error)).removeprefix(f"{what}: "), exit_code=3))
    except TimeoutError:
        rows.append(Row("fail", what, f"{pbx.url} does not answer in time", "is FreeSWITCH stuck?", 3))
    return rows


async def _ask(
    visit: Visit, settings: EslSettings, pbx: PbxConfig, library: Library | None, probe: Probe | None
) -> AsyncIterator[Row]:
    what, connection = f"pbx {pbx.name}", visit.connection
    found = _VERSION.search(await connection.ask(Command("api version")))
    yield Row("ok", what, f"FreeSWITCH {found[1] if found else 'of unknown version'} at {pbx.url}")
    if settings.password == _DEFAULT_PASSWORD:
        said = "its ESL password is the one that everybody knows"
        yield Row("warn", what, said, "choose another in event_socket.conf.xml")
    yield await _check_modules(connection, pbx)
    async for row in _check_callbacks(connection, pbx):
        yield row
    async for row in _check_limits(connection, pbx):
        yield row
    level = _LEVEL.search(await connection.ask(Command("api fsctl loglevel")))
    if level is not None and int(level[1]) >= _INFO:
        name = "info" if int(level[1]) == _INFO else "debug"
        said = f"its log is at {name}: it holds what is played, and so the codes"
        yield Row("warn", what, said, "loglevel notice in switch.conf.xml")
    if library is not None:
        check = await sounds.check(connection, settings, visit.sounds_dir, tuple(library.sounds))
        if check.missing:
            said = f"{len(check.missing)} of {check.checked} sounds are missing, such as {check.missing[0]}"
            yield Row("fail", what, said, "on the PBX's machine: orchestrator sounds install")
        else:
            yield Row("ok", what, f"all {check.checked} sounds are there")
    if probe is not None:
        yield heard(what, probe, await sounds.check(connection, settings, visit.sounds_dir, (probe.sound,)))
    trunk = await _check_trunk(connection, pbx)
    if trunk is not None:
        yield trunk


async def _check_modules(connection: Connection, pbx: PbxConfig) -> Row:
    what = f"pbx {pbx.name}"
    needed = ["mod_dptools", "mod_sndfile", *(["mod_sofia"] if pbx.dial.startswith("sofia/") else [])]
    answers = await connection.ask_all([module_exists(module) for module in needed])
    absent = [module for module, answer in zip(needed, answers, strict=True) if answer.strip() == "false"]
    if absent:
        return Row("fail", what, f"{', '.join(absent)} is not loaded", "load it in modules.conf.xml")
    return Row("ok", what, f"{', '.join(needed)} are loaded")


async def _check_callbacks(connection: Connection, pbx: PbxConfig) -> AsyncIterator[Row]:
    """What only a callback needs: a ringing tone, and a folder of recordings that we may use.

    A folder that is not there yet is no fault: FreeSWITCH makes it when it first records.
    """
    what, tones = f"pbx {pbx.name}", "mod_tone_stream"
    if (await connection.ask(module_exists(tones))).strip() == "false":
        said = f"{tones} is not loaded: the caller of a callback hears no ringing tone"
        yield Row("warn", what, said, "load it in modules.conf.xml")
    if not _usable(pbx.recordings):
        said = f"recordings in {pbx.recordings} cannot be read and deleted by this user"
        yield Row("warn", what, said, "give its group, the worker's, every right there: chmod 2770")


def _usable(folder: str) -> bool:
    return not os.path.isdir(folder) or os.access(folder, os.R_OK | os.W_OK | os.X_OK)


async def _check_limits(connection: Connection, pbx: PbxConfig) -> AsyncIterator[Row]:
    """FreeSWITCH refuses calls beyond its own limits, and counts those of others in."""
    what = f"pbx {pbx.name}"
    status = await connection.ask(Command("api status"))
    rate, most = _PER_SECOND.search(status), _AT_ONCE.search(status)
    if rate is not None and pbx.max_cps >= int(rate[1]):
        said = f"it throttles at {rate[1]} calls a second, and max_cps is {pbx.max_cps:g}"
        yield Row("warn", what, said, "raise sessions-per-second in switch.conf.xml, or lower pbx.max_cps")
    if most is not None and pbx.max_calls > int(most[1]):
        said = f"it takes {most[1]} calls at the same time, and max_calls is {pbx.max_calls}"
        yield Row("warn", what, said, "raise max-sessions in switch.conf.xml, or lower pbx.max_calls")


async def _check_trunk(connection: Connection, pbx: PbxConfig) -> Row | None:
    what = f"pbx {pbx.name}"
    gateway = _GATEWAY.fullmatch(pbx.dial)
    if gateway is not None:
        name = gateway[1]
        status = await connection.ask(Command(f"api sofia status gateway {name}"))
        if "invalid gateway" in status.lower():
            return Row(
                "fail", what, f"there is no gateway {name}", "configure it in sofia.conf.xml, or pbx.dial"
            )
        if re.search(r"^Status\s+UP", status, re.MULTILINE):
            return Row("ok", what, f"gateway {name} is up")
        return Row("warn", what, f"gateway {name} is not up", f"see: sofia status gateway {name}")
    profile = _PROFILE.fullmatch(pbx.dial)
    if profile is None:
        return None
    status = await connection.ask(Command(f"api sofia status profile {profile[1]}"))
    if "invalid profile" in status.lower():
        return Row(
            "fail", what, f"there is no profile {profile[1]}", "configure it in sofia.conf.xml, or pbx.dial"
        )
    return Row("ok", what, f"profile {profile[1]} is there")
