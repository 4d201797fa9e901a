"""What `doctor` asks a PBX node: an Asterisk over a connection and a Stasis application of its own."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import msgspec

from orchestrator.cli.callback_checks import check_callbacks
from orchestrator.cli.checks import Row
from orchestrator.cli.esl_checks import check_freeswitch
from orchestrator.cli.probe import probe_app, unreachable
from orchestrator.cli.speech_checks import Probe, heard
from orchestrator.config import ConfigError
from orchestrator.config import Pbx as PbxConfig
from orchestrator.pbx.ari import sounds, wire
from orchestrator.pbx.ari.handshake import WebSocket, narrow_events, open_socket
from orchestrator.pbx.ari.pooled import exchange, open_session
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxConfigError, PbxError
from orchestrator.prompts import Library
from orchestrator.setup import ari_settings

_ENDPOINT = re.compile(r"(PJSIP|SIP|IAX2)/(?:\{[a-z0-9]+\}@([A-Za-z0-9_.-]+)|([A-Za-z0-9_.-]+)/.*)")
_PROBE = "doctor"


class _System(msgspec.Struct, frozen=True):
    version: str = "of unknown version"


class _Info(msgspec.Struct, frozen=True):
    system: _System = _System()


class _Endpoint(msgspec.Struct, frozen=True):
    state: str = "unknown"


async def check_pbx(
    pbx: PbxConfig, library: Library | None, worker_runs: bool, probe: Probe | None = None
) -> list[Row]:
    """All that can be asked of one node without a call. `probe`: a sound it should see."""
    if pbx.kind == "virtual":
        said = "virtual: within the worker, with the sounds that come along; it reaches nobody's phone"
        return [Row("ok", f"pbx {pbx.name}", said)]
    if pbx.kind == "freeswitch":
        rows = await check_freeswitch(pbx, library, probe)
    else:
        rows = await _check_asterisk(pbx, library, worker_runs, probe)
    if not pbx.caller_ids:
        said = "no caller_ids: the PBX's own is shown"
        rows.append(Row("warn", f"pbx {pbx.name}", said, "list those you may use"))
    return rows


async def _check_asterisk(
    pbx: PbxConfig, library: Library | None, worker_runs: bool, probe: Probe | None
) -> list[Row]:
    what = f"pbx {pbx.name}"
    try:
        settings = ari_settings(pbx, probe_app())
    except ConfigError as error:
        return [Row("fail", what, str(error))]
    rows: list[Row] = []
    try:
        async with asyncio.timeout(3 * pbx.request_timeout), open_session(settings) as http:
            events = await open_socket(http, settings, settings.app)
            try:
                async for row in _ask(http, events, settings, pbx, library, worker_runs, probe):
                    rows.append(row)  # noqa: PERF401 - what was found before a fault is kept
            finally:
                await events.close()
    except PbxConfigError as error:
        said, _, mend = str(error).removeprefix(f"{what}: ").partition("; ")
        rows.append(Row("fail", what, said, mend))
    except PbxError as error:
        rows.append(Row("fail", what, unreachable(pbx, str(error)).removeprefix(f"{what}: "), exit_code=3))
    except TimeoutError:
        rows.append(Row("fail", what, f"{pbx.url} does not answer in time", "is Asterisk stuck?", 3))
    return rows


async def _ask(
    http: aiohttp.ClientSession,
    events: WebSocket,
    settings: AriSettings,
    pbx: PbxConfig,
    library: Library | None,
    worker_runs: bool,
    probe: Probe | None,
) -> AsyncIterator[Row]:
    what = f"pbx {pbx.name}"
    info = await exchange(http, settings, RestCall("GET", "asterisk/info?only=system"))
    version = msgspec.json.decode(info.body, type=_Info).system.version if info.ok else "of unknown version"
    yield Row("ok", what, f"Asterisk {version} at {pbx.url}, user {pbx.username}")
    if not await narrow_events(http, settings):
        yield Row("warn", what, "it cannot filter events", "Asterisk 16.3 or later saves much work")
    yield await _check_transport(events, settings, pbx)
    yield await _check_app(http, settings, pbx, worker_runs)
    if library is not None:
        check = await sounds.check(http, settings, tuple(library.sounds))
        if check.missing:
            said = f"{len(check.missing)} of {check.checked} sounds are missing, such as {check.missing[0]}"
            yield Row("fail", what, said, "on the PBX's machine: orchestrator sounds install")
        else:
            yield Row("ok", what, f"all {check.checked} sounds are there")
    if probe is not None:
        yield heard(what, probe, await sounds.check(http, settings, (probe.sound,)))
    yield await check_callbacks(http, settings)
    row = await _check_endpoint(http, settings, pbx)
    if row is not None:
        yield row


async def _check_transport(events: WebSocket, settings: AriSettings, pbx: PbxConfig) -> Row:
    what = f"pbx {pbx.name}"
    if pbx.transport == "http":
        return Row("ok", what, "requests go over HTTP, as configured")
    await events.send_frame(wire.encode_request(_PROBE, "GET", "asterisk/ping", b""), aiohttp.WSMsgType.TEXT)
    try:
        async with asyncio.timeout(settings.probe_timeout):
            while True:
                frame = await events.receive()
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return Row("fail", what, "the events' WebSocket was closed", exit_code=3)
                event = wire.decode(frame.data)
                if isinstance(event, wire.RESTResponse) and event.request_id == _PROBE:
                    return Row("ok", what, "requests go over the WebSocket")
    except TimeoutError:
        pass
    if pbx.transport == "websocket":
        return Row(
            "fail",
            what,
            "it takes no requests over the WebSocket",
            "Asterisk 20.14, 21.9, 22.4; or transport=auto",
        )
    return Row("ok", what, "requests go over HTTP: it takes none over the WebSocket (Asterisk 22.4 does)")


async def _check_app(
    http: aiohttp.ClientSession, settings: AriSettings, pbx: PbxConfig, worker_runs: bool
) -> Row:
    what = f"pbx {pbx.name}"
    answer = await exchange(http, settings, RestCall("GET", f"applications/{quote(pbx.app, safe='')}"))
    if answer.status == 404:
        return Row("ok", what, f"application {pbx.app} is free")
    if worker_runs:
        return Row("ok", what, f"application {pbx.app} is connected, and a worker runs")
    return Row(
        "warn",
        what,
        f"application {pbx.app} is known there, though no worker runs on this ledger",
        "if another client uses it, give this worker another pbx.app",
    )


async def _check_endpoint(http: aiohttp.ClientSession, settings: AriSettings, pbx: PbxConfig) -> Row | None:
    found = _ENDPOINT.fullmatch(pbx.dial)
    if found is None:
        return None
    tech, name = found[1], found[2] or found[3]
    what = f"pbx {pbx.name}"
    answer = await exchange(http, settings, RestCall("GET", f"endpoints/{tech}/{quote(name, safe='')}"))
    if answer.status == 404:
        return Row(
            "fail", what, f"there is no endpoint {tech}/{name}", "configure it in pjsip.conf, or pbx.dial"
        )
    if not answer.ok:
        return Row("warn", what, f"endpoint {tech}/{name}: Asterisk answers {answer.status}")
    state = msgspec.json.decode(answer.body, type=_Endpoint).state
    if state == "offline":
        return Row(
            "warn", what, f"endpoint {tech}/{name} is offline", "is the carrier up? see: pjsip show endpoint"
        )
    return Row("ok", what, f"endpoint {tech}/{name} is there ({state})")
