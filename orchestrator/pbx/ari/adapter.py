"""The Asterisk adapter: keeps the `Pbx` port over ARI.

`run` connects, and connects again with back-off; `send` hands requests to the connection of the moment. Every
request is entered before it leaves, and told off through the sink however it ends.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from random import Random
from urllib.parse import quote

import aiohttp
import structlog

from orchestrator.call.commands import StopPlay
from orchestrator.call.events import Ended, Ready, Refused
from orchestrator.pbx.ari import census, recordings, sounds, wire
from orchestrator.pbx.ari.connection import Connection, Replaced
from orchestrator.pbx.ari.handshake import AddressNotFound, open_socket
from orchestrator.pbx.ari.pooled import exchange, open_session
from orchestrator.pbx.ari.requests import RestCall, bridge
from orchestrator.pbx.ari.rest import Full, RequestTable, unsent
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.ari.translate import Told
from orchestrator.pbx.backoff import full_jitter, stay_away
from orchestrator.pbx.errors import PbxConfigError, PbxError, PbxUnreachable
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, Link, Request, Signal, Sink, SoundCheck

log = structlog.get_logger(__name__)

_STOPPED = "stopped"


class AriPbx:
    """One Asterisk node. `clock` gives seconds since the epoch, `random` the jitter of reconnecting.

    `reacted` is told how long each answered call waited for its first play: from the moment when its
    StasisStart was read until the play request was written. `may_connect` is asked before each connection.
    """

    def __init__(
        self,
        settings: AriSettings,
        sink: Sink,
        *,
        clock: Callable[[], float],
        random: Random,
        reacted: Callable[[float], None] = lambda seconds: None,
        may_connect: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._random = random
        self._reacted = reacted
        self._may_connect = may_connect
        self.name = settings.name
        self._ready_at: dict[str, float] = {}
        self._table = RequestTable(settings)
        self._http: aiohttp.ClientSession | None = None
        self._connection: Connection | None = None
        self._dialled_meanwhile: set[str] | None = None
        self._ever_up = False
        self._said: tuple[bool, str] | None = None

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def run(self) -> None:
        """Keep connected until cancelled. `PbxConfigError` for what waiting does not mend, before the first
        connection only: later the same fault is logged and tried again."""
        attempt = 0
        not_found_since: float | None = None
        async with open_session(self._settings) as http:
            self._http = http
            try:
                while True:
                    began = asyncio.get_running_loop().time()
                    fault = await self._one_connection(http)
                    if not isinstance(fault, AddressNotFound):
                        not_found_since = None
                    elif not_found_since is None:
                        not_found_since = began
                    self._judge(fault, not_found_since)
                    lasted = asyncio.get_running_loop().time() - began
                    attempt = 0 if lasted > self._settings.backoff_cap else attempt + 1
                    await asyncio.sleep(self._pause(fault, attempt))
            finally:
                self._http = None
                if self._said is not None and self._said[0]:
                    self._say(False, _STOPPED)

    def send(self, request: Request) -> None:
        """Never waits. What must not be sent, or cannot be sent now, is told through the sink at once."""
        connection = self._connection
        if connection is None:
            self._tell_all(unsent(request, "not connected"))
            return
        if isinstance(request, StopPlay) and self._table.hold(request):
            return
        try:
            outgoing = self._table.submit(request, asyncio.get_running_loop().time())
        except Unfit as fault:
            log.warning("ari_unfit_request", pbx=self.name, channel=request.channel, reason=str(fault))
            if isinstance(request, Dial):
                self._tell((request.channel, Refused(400, str(fault))))
            else:
                self._tell_all(unsent(request, str(fault)))
        except Full as fault:
            log.warning("ari_too_many_requests", pbx=self.name, reason=str(fault))
            self._tell_all(unsent(request, str(fault)))
        else:
            if self._dialled_meanwhile is not None and isinstance(request, Dial):
                self._dialled_meanwhile.add(request.channel)
            connection.put(outgoing)

    async def reconcile(self, channels: Collection[str]) -> None:
        """Raises `PbxUnreachable` when the PBX cannot be asked now: the next `Link(up=True)` brings a new
        occasion."""
        http = self._session()
        meanwhile = self._table.dialling()
        self._dialled_meanwhile = meanwhile
        try:
            listed = wire.decode_channels(await self._get(http, "channels"))
            bridges = await self._bridges(http)
            application = wire.decode_application(await self._get(http, f"applications/{self._settings.app}"))
        finally:
            self._dialled_meanwhile = None
        app = self._settings.app
        found = census.take(listed, application.channel_ids, channels, meanwhile, app, bridges)
        self._tell_all(found.told)
        for channel in found.strays:
            await exchange(http, self._settings, RestCall("DELETE", f"channels/{quote(channel, safe='')}"))
        for channel in found.deserted:
            await exchange(http, self._settings, RestCall("DELETE", bridge(channel)))
        log.info(
            "ari_reconciled",
            pbx=self.name,
            asked=len(channels),
            hung_up_strays=len(found.strays),
            dropped_bridges=len(found.deserted),
        )

    async def check_sounds(self, sounds_asked: Sequence[str]) -> SoundCheck:
        """Raises `PbxUnreachable` when the PBX cannot be asked now."""
        return await sounds.check(self._session(), self._settings, sounds_asked)

    async def fetch_recording(self, recording: str) -> bytes:
        """Raises `RecordingNotFound`, or `PbxUnreachable` when the PBX cannot be asked now."""
        return await recordings.fetch(self._settings, recording)

    async def delete_recording(self, recording: str) -> None:
        """Raises `PbxUnreachable` when the PBX cannot be asked now."""
        await recordings.delete(self._settings, recording)

    async def _one_connection(self, http: aiohttp.ClientSession) -> PbxError:
        """Connect and serve. Returns the fault that ended it, after every request's fate has been told."""
        if not self._may_connect():  # Asterisk would take the application from who owns it now
            return PbxUnreachable(f"pbx {self.name}: it is not certain that its calls are still ours")
        try:
            events = await open_socket(http, self._settings, self._settings.app)
            connection = Connection(self._settings, http, events, self._table, self._tell, self._left)
            try:
                await connection.run(lambda transport: self._up(connection, transport))
            finally:
                self._connection = None
                self._ready_at.clear()
                self._tell_all(self._table.lose_all("the connection was lost").told)
                await connection.close()
        except PbxError as fault:
            return fault
        return PbxUnreachable(f"pbx {self.name}: the connection ended")

    async def _bridges(self, http: aiohttp.ClientSession) -> list[wire.BridgeSnapshot]:
        """All of them; none where Asterisk has no module for them, and so nobody can have made one."""
        answer = await exchange(http, self._settings, RestCall("GET", "bridges"))
        return wire.decode_bridges(answer.body) if answer.ok else []

    async def _get(self, http: aiohttp.ClientSession, path: str) -> bytes | str:
        answer = await exchange(http, self._settings, RestCall("GET", path))
        if not answer.ok:
            raise PbxUnreachable(f"pbx {self.name}: GET {path} was answered {answer.status} {answer.reason}")
        return answer.body

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise PbxUnreachable(f"pbx {self.name}: not running; start run() first")
        return self._http

    def _up(self, connection: Connection, transport: str) -> None:
        self._connection = connection
        self._ever_up = True
        connection.expect(self._table.resumed(asyncio.get_running_loop().time()))
        log.info("ari_connected", pbx=self.name, transport=transport)
        self._say(True, "")

    def _judge(self, fault: PbxError, not_found_since: float | None) -> None:
        """Give up, or say once why the link is down."""
        if isinstance(fault, PbxConfigError) and not self._ever_up:
            patience = self._settings.not_found_patience
            if not_found_since is None or asyncio.get_running_loop().time() - not_found_since >= patience:
                raise fault
        self._say(False, str(fault), grave=isinstance(fault, PbxConfigError | Replaced))

    def _pause(self, fault: PbxError, attempt: int) -> float:
        if isinstance(fault, Replaced):
            return stay_away(self._settings.replaced_backoff, self._random)
        return full_jitter(attempt, self._settings.backoff_base, self._settings.backoff_cap, self._random)

    def _say(self, up: bool, reason: str, *, grave: bool = False) -> None:
        if self._said == (up, reason):
            return
        self._said = (up, reason)
        if not up and reason != _STOPPED:
            write = log.error if grave else log.warning
            write("ari_link_down", pbx=self.name, reason=reason)
        self._sink(Link(self.name, up, self._clock(), reason))

    def _tell_all(self, told: Sequence[Told]) -> None:
        for each in told:
            self._tell(each)

    def _tell(self, told: Told) -> None:
        channel, event = told
        now = self._clock()
        if type(event) is Ready:
            self._ready_at[channel] = now
        elif type(event) is Ended:
            self._ready_at.pop(channel, None)
        self._sink(Signal(self.name, channel, event, now))

    def _left(self, number: int) -> None:
        """A request was written."""
        ready_at = self._ready_at.pop(self._table.plays_to(number), None)
        if ready_at is not None:
            self._reacted(self._clock() - ready_at)
