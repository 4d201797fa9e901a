"""What `doctor` looks at of each queue that jobs come from. Nothing is made, and nothing is read from it."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orchestrator.cli.checks import Row
from orchestrator.config import Config
from orchestrator.intake.options import Intake
from orchestrator.intake.source import reason_of

WAIT: Final = 12.0
"""Seconds that one queue's server gets to answer everything."""
_MADE: Final = "is not there yet; it is made at the first start"
_REFUSALS: Final = ("auth", "access_refused", "wrongpass", "noperm", "permission", "login was refused")
"""What servers say, in lower case, to whom they know and do not let in."""

Look = Callable[[Intake], Awaitable[list[Row]]]


async def check_intake(intake: Intake, config: Config) -> list[Row]:
    """Whether one queue could be served now."""
    what = _what(intake)
    if intake.kind == "folder":
        return _check_folder(what, config.path(intake.jobs), intake)
    looks: dict[str, Look] = {"redis": _look_at_redis, "amqp": _look_at_amqp, "nats": _look_at_nats}
    try:
        async with asyncio.timeout(WAIT):
            return await looks[intake.kind](intake)
    except ModuleNotFoundError as missing:
        mend = f"pip install 'call-orchestrator[{intake.kind}]'"
        return [Row("fail", what, f"the library {missing.name} is not installed", mend)]
    except TimeoutError:
        return [Row("fail", what, f"{_where(intake)} does not answer", "start it, or correct its url", 3)]
    except Exception as error:  # noqa: BLE001 - three client libraries' ways to say that it does not work
        return [_fault(what, intake, error)]


def _fault(what: str, intake: Intake, error: Exception) -> Row:
    said = f"{_where(intake)}: {reason_of(error, intake.url)}"
    if any(word in said.lower() for word in _REFUSALS):
        return Row("fail", what, said, "correct user and password in its url, or their rights on the server")
    if isinstance(error, ValueError | TypeError):
        return Row("fail", what, said, "correct its url")
    return Row("fail", what, said, "start it, or correct its url", 3)


async def _look_at_redis(intake: Intake) -> list[Row]:
    from orchestrator.intake.redis_streams import client_of

    what, rows = _what(intake), list[Row]()
    client = client_of(intake)
    try:
        await client.ping()
        rows.append(Row("ok", what, f"{_where(intake)} answers"))
        for place in _places(intake):
            found = await client.type(place)
            kind = found.decode() if isinstance(found, bytes) else found
            if kind == "stream":
                rows.append(Row("ok", what, f"stream {place} is there"))
            elif kind == "none":
                rows.append(Row("ok", what, f"stream {place} {_MADE}"))
            else:
                rows.append(Row("fail", what, f"{place} is no stream: a {kind}", "name another key"))
    finally:
        await client.aclose()
    return rows


async def _look_at_amqp(intake: Intake) -> list[Row]:
    from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity

    from orchestrator.intake.amqp import TIMEOUT, connect, opened

    what, rows = _what(intake), list[Row]()
    connection = await connect(intake)
    try:
        rows.append(Row("ok", what, f"{_where(intake)} answers"))
        for place in _places(intake):
            channel = await opened(connection)  # a refusal closes it
            try:
                await channel.declare_queue(place, passive=True, timeout=TIMEOUT)
            except ChannelNotFoundEntity:
                rows.append(Row("ok", what, f"queue {place} {_MADE}"))
            except ChannelClosed as refused:
                mend = "give the user configure, write and read on it"
                rows.append(Row("fail", what, f"queue {place}: {reason_of(refused, intake.url)}", mend))
            else:
                rows.append(Row("ok", what, f"queue {place} is there"))
    finally:
        await connection.close()
    return rows


async def _look_at_nats(intake: Intake) -> list[Row]:
    from nats.js.errors import NotFoundError, ServiceUnavailableError

    from orchestrator.intake.jetstream import TIMEOUT, connect

    what, rows = _what(intake), list[Row]()
    client = await connect(intake)
    try:
        rows.append(Row("ok", what, f"{_where(intake)} answers"))
        jetstream = client.jetstream(timeout=TIMEOUT)
        try:
            await jetstream.account_info()
        except ServiceUnavailableError:
            said = "it has no JetStream"
            return [*rows, Row("fail", what, said, "start it with -js, or enable it for this account")]
        for place in _places(intake):
            try:
                stream = await jetstream.find_stream_name_by_subject(place)
            except NotFoundError:
                rows.append(Row("ok", what, f"a stream for {place} {_MADE}"))
                continue
            rows.append(Row("ok", what, f"stream {stream} keeps {place}"))
            if place == intake.jobs:
                rows += await _consumer(jetstream.consumer_info(stream, intake.group), what, intake)
    finally:
        await client.close()
    return rows


async def _consumer(asked: Awaitable[object], what: str, intake: Intake) -> list[Row]:
    from nats.js.errors import NotFoundError

    try:
        found = await asked
    except NotFoundError:
        return [Row("ok", what, f"consumer {intake.group} {_MADE}")]
    if getattr(getattr(found, "config", None), "deliver_subject", None):
        return [Row("fail", what, f"consumer {intake.group} is a push consumer", "name another group")]
    return [Row("ok", what, f"consumer {intake.group} is there")]


def _check_folder(what: str, root: Path, intake: Intake) -> list[Row]:
    names = ["incoming", "taking", "done", intake.dead_place, *([intake.replies] if intake.replies else [])]
    rows = []
    for folder in (root, *(root / name for name in names)):
        if folder.exists():
            rows += _folder_faults(what, folder, inner=folder != root)
    if rows:
        return rows
    if all((root / name).is_dir() for name in names):
        return [Row("ok", what, f"{root} can be read and written to")]
    above = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        return [Row("fail", what, f"{root} cannot be made: {above} cannot be written to", _give(above))]
    return [Row("ok", what, f"{root}: what is missing of it is made at the first start")]


def _folder_faults(what: str, folder: Path, *, inner: bool) -> list[Row]:
    if not folder.is_dir():
        return [Row("fail", what, f"{folder} is no folder", "name another one in intake.jobs")]
    if inner and folder.stat().st_mode & stat.S_IWOTH:
        return [Row("fail", what, f"{folder} may be written to by everybody", f"chmod o-w {folder}")]
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK if inner else os.X_OK):
        return [Row("fail", what, f"{folder} cannot be used by this user", _give(folder))]
    return []


def _give(folder: Path) -> str:
    return f"give {folder} to this user (uid {os.getuid()})"


def _places(intake: Intake) -> list[str]:
    return [place for place in (intake.jobs, intake.dead_place, intake.replies) if place is not None]


def _what(intake: Intake) -> str:
    return f"intake {intake.name}"


def _where(intake: Intake) -> str:
    """The server's address without what may be secret in it."""
    parts = urlsplit(intake.url or "")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
