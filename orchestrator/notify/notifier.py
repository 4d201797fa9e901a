"""Brings every delivery in the outbox to its receiver, or to the dead letters.

Two ways in. `offer` takes what the ledger has just committed, without a reading. The sweep reads from the
ledger what has become due there: retries, what found no room, what a former process left behind.

- A lane (job) has one delivery in flight; the next goes when its fate is known. A dead one does not hold
  the rest of its lane: the verdict of a job must not hang on a poisoned event before it.
- A lane that must wait longer than REST leaves memory and comes back by the sweep.
- When a receiver is down (three tries in a row without an answer), each further failure sends everything
  that waits for it to its own next retry, as if tried, except an event's last try, which is always made.
- When it answers again, everything that waits for it is due at once.
- Cancellation in the middle of a delivery leaves it pending: it is sent again, under the same webhook-id.
- A process that was stopped and wakes up may hold events that another has delivered since, and later ones
  too. Nothing is sent while it is not certain that the outbox is still ours (`may_send`).
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

import structlog
from msgspec.structs import replace

from orchestrator.notify.carrier import Carrier
from orchestrator.notify.client import Client
from orchestrator.notify.delivery import Delivery, Meter, NoMeter, Outbox, Tally
from orchestrator.notify.errors import NotOurs
from orchestrator.notify.lanes import Lanes
from orchestrator.notify.names import Resolver
from orchestrator.notify.origins import Watch
from orchestrator.notify.schedule import (
    Answered,
    Dead,
    Delivered,
    Failed,
    Random,
    Response,
    RetryAt,
    Stop,
    decide,
    put_back,
)
from orchestrator.notify.settings import NotifySettings
from orchestrator.notify.sign import Signer

Clock = Callable[[], float]
"""Seconds since the epoch."""

REST = 30.0
"""A retry further off than this (seconds) is left to the ledger."""
SLOW = 2.0
"""An answer that takes longer (seconds) marks its receiver as troubled."""
UNCERTAIN = 1.0
"""Seconds until it is asked again whether the outbox is ours."""
PAGE = 500

_log = structlog.get_logger()


class Notifier:
    """Sends what is in `outbox`. Build it, `run` it as a task, give it fresh deliveries by `offer`.

    `resolver` replaces DNS for addresses that come with jobs; tests use it. `wall` is the time of day that
    signatures bear: receivers compare it with their own, so it must follow a clock that is set, which `clock`
    need not. `may_send` says whether it is certain that the outbox is still ours. `carriers` take what does
    not go by HTTP, each for its URL; with them there may be no secret, and nothing then goes by HTTP. Raises
    SecretError when no usable secret is set.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: NotifySettings,
        clock: Clock,
        random: Random,
        *,
        meter: Meter | None = None,
        resolver: Resolver | None = None,
        wall: Clock | None = None,
        may_send: Callable[[], bool] = lambda: True,
        carriers: Mapping[str, Carrier] | None = None,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._wall = wall or clock
        self._random = random
        self._meter = meter or NoMeter()
        self._carriers = carriers or {}
        self._signer = Signer(settings.secrets) if settings.secrets or not self._carriers else None
        self._may_send = may_send
        self._uncertain = False
        self._client = Client(settings, resolver=resolver, may_send=may_send)
        # Asked three times for each delivery, most of them of the same few receivers.
        self._origin = lru_cache(maxsize=1024)(self._receiver_of)
        self._lanes = Lanes(
            self._origin,
            max_queued=settings.max_queued,
            per_origin=settings.per_receiver,
            in_flight=settings.in_flight,
        )
        self._watch = Watch()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._kick = asyncio.Event()
        self._draining = False
        self._quiet = asyncio.Event()
        self._swept = asyncio.Event()
        self._sweep_wanted = True
        self._sweeping = False
        self._offered_meanwhile: set[str] = set()
        self._ledger_due = math.inf
        self._closed = False

    @property
    def queued(self) -> int:
        """Deliveries in memory."""
        return self._lanes.queued

    @property
    def in_flight(self) -> int:
        """Deliveries being sent."""
        return self._lanes.in_flight

    @property
    def receivers(self) -> int:
        """Receivers with something in memory."""
        return self._lanes.origins

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Take deliveries that were committed just now. Never waits; what is not taken is swept up later."""
        for delivery in deliveries:
            if self._lanes.offer(delivery) and self._sweeping:
                self._offered_meanwhile.add(delivery.lane)
        self._pump()

    def wake(self) -> None:
        """Something became due in the ledger, or time moved on."""
        self._sweep_wanted = True
        self._kick.set()

    def close(self) -> None:
        """End `run`; what is in flight stays pending. `drain` first to finish what can be finished."""
        self._closed = True
        self._kick.set()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the shutdown's own deadline
        """Wait until nothing that can be delivered now is left; False when `timeout` seconds ran out."""
        try:
            async with asyncio.timeout(timeout):
                self._draining = True
                while True:
                    if not self._lanes.quiet:
                        self._quiet.clear()
                        await self._quiet.wait()
                    self._swept.clear()
                    self.wake()
                    await self._swept.wait()
                    if self._lanes.quiet and not self._sweep_wanted:
                        return True
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Deliver until closed or cancelled. Errors of the outbox end it."""
        async with self._client, asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._keep_sweeping()
            finally:
                self._group = None
                for task in self._tasks:
                    task.cancel()

    def _receiver_of(self, url: str) -> str:
        return url if url in self._carriers else self._client.origin(url)

    # The sweep.

    async def _keep_sweeping(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at = -math.inf
        while not self._closed:
            self._kick.clear()
            now = self._clock()
            self._lanes.wake(now)
            self._pump()
            if self._sweep_due(now) and loop.time() - swept_at >= self._settings.sweep_gap:
                await self._sweep(now)
                swept_at = loop.time()
            await self._pause(self._delay(self._clock(), loop.time() - swept_at))
            if loop.time() - swept_at >= self._settings.poll_interval:
                self._sweep_wanted = True

    def _sweep_due(self, now: float) -> bool:
        return self._sweep_wanted or self._lanes.behind or now >= self._ledger_due

    def _delay(self, now: float, since_sweep: float) -> float:
        """Seconds until there is something to do, unless kicked before."""
        gap = max(0.0, self._settings.sweep_gap - since_sweep)
        delay = gap if self._sweep_due(now) else max(gap, self._settings.poll_interval - since_sweep)
        delay = min(delay, max(gap, self._ledger_due - now))
        if self._uncertain:
            delay = min(delay, UNCERTAIN)
        rest = self._lanes.next_wake()
        return delay if rest is None else min(delay, max(0.0, rest - now))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._kick.wait()

    async def _sweep(self, now: float) -> None:
        self._sweep_wanted = False
        self._lanes.behind = False
        self._ledger_due = math.inf
        self._sweeping = True
        try:
            while True:
                self._offered_meanwhile.clear()
                found = await self._outbox.due(now, PAGE, self._lanes.held())
                if not self._admit(found, now):
                    break
                self._pump()
            due = await self._outbox.next_due(self._lanes.held())
        finally:
            self._sweeping = False
        if due is not None:
            self._ledger_due = min(self._ledger_due, due)
        self._pump()
        self._swept.set()

    def _admit(self, found: list[Delivery], now: float) -> bool:
        """Take what was read into memory. False when the ledger has no more for now."""
        lanes: dict[str, list[Delivery]] = {}
        for delivery in found:
            lanes.setdefault(delivery.lane, []).append(delivery)
        advanced = False
        for lane, members in lanes.items():
            if lane in self._offered_meanwhile:
                # It moved while we read; what we read of it may have been sent already.
                self._sweep_wanted = True
                continue
            advanced = True
            if not self._lanes.load(members):
                # Out of the way, so that the next page shows what is behind it.
                head = members[0]
                self._outbox.retry(head.id, head.attempts, self._lanes.put_off(head, now), "")
        return advanced

    # The sending.

    def _pump(self) -> None:
        """Start what can start, and have the ledger read if it may hold more."""
        if self._group is None:
            return
        if self._lanes.behind and not self._sweep_wanted:
            self.wake()
        self._uncertain = not self._may_send()
        while not self._uncertain and (delivery := self._lanes.take()) is not None:
            self._send(delivery)
        if self._draining and self._lanes.quiet:
            self._quiet.set()

    def _send(self, delivery: Delivery) -> None:
        """Over an idle connection where there is one, else by a task that makes one."""
        began = self._clock()
        carrier = self._carriers.get(delivery.url)
        if carrier is not None or self._signer is None:
            self._spawn(self._carry(carrier, delivery, began))
            return
        headers = self._signer.headers(delivery.event_id, int(self._wall()), delivery.body)

        def answered(response: Response | None) -> None:
            if response is None:
                self._spawn(self._post(delivery, headers, began, fresh=True))
                return
            try:
                self._landed(delivery, response, began)
            except Exception as error:  # noqa: BLE001 - nobody awaits us, so `run` raises it
                self._spawn(_raise(error))

        if not self._client.begin(delivery.url, delivery.body, headers, answered):
            self._spawn(self._post(delivery, headers, began, fresh=False))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._group is None:  # ending
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(
        self, delivery: Delivery, headers: Mapping[str, str], began: float, *, fresh: bool
    ) -> None:
        try:
            response = await self._client.post(delivery.url, delivery.body, headers, fresh=fresh)
        except NotOurs:  # the outbox has it still, for us or for another
            self._lanes.land(delivery, answered=True)
            self._lanes.leave(delivery.lane)
            self.wake()
        else:
            self._landed(delivery, response, began)

    async def _carry(self, carrier: Carrier | None, delivery: Delivery, began: float) -> None:
        if carrier is None:
            response: Response = Failed("there is no notify.secret to sign with")
        else:
            try:
                async with asyncio.timeout(self._settings.timeout):
                    response = await carrier.send(delivery)
            except TimeoutError:
                response = Failed(f"not taken within {self._settings.timeout:g} s")
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                response = Failed("the connection was lost")  # whose library cancels what waits for it
        self._landed(delivery, response, began)

    def _landed(self, delivery: Delivery, response: Response, began: float) -> None:
        if self._group is None:  # ending: it stays pending
            return
        now = self._clock()
        self._judge(delivery, response, now, now - began)
        self._pump()

    def _judge(self, delivery: Delivery, response: Response, now: float, seconds: float) -> None:
        answered = isinstance(response, Answered)
        idle = self._lanes.land(delivery, answered=answered, slow=seconds > SLOW)
        well = isinstance(response, Answered) and response.status < 500
        origin = self._origin(delivery.url)
        match self._watch.heard(origin, answered=well):
            case "down":
                reason = (
                    f"it answers {response.status}" if isinstance(response, Answered) else response.reason
                )
                _log.warning("notify.receiver_down", receiver=_receiver(delivery.url), reason=reason)
            case "up":
                _log.info("notify.receiver_up", receiver=_receiver(delivery.url))
                self._outbox.hasten(origin.removeprefix("trusted "), now)
                self.wake()
        age = now - delivery.created_at
        match decide(delivery.attempts, age, response, now, self._random):
            case Delivered():
                self._outbox.delivered((delivery.id,))
                self._lanes.settled(delivery)
                self._meter.count("delivered")
                self._meter.latency(age)
            case RetryAt() as retry:
                self._retry(delivery, retry, "retried")
            case Dead(attempts, reason):
                self._outbox.dead(delivery.id, attempts, reason)
                self._lanes.settled(delivery)
                self._meter.count("dead")
                _log.warning("notify.dead", webhook_id=delivery.event_id, lane=delivery.lane, reason=reason)
            case Stop(reason):
                self._outbox.stop_lane(delivery.lane, reason)
                self._lanes.leave(delivery.lane)
                self._meter.count("stopped")
                _log.info("notify.stopped", lane=delivery.lane, reason=reason)
        for head in idle:
            age = now - head.created_at
            later = put_back(head.attempts, "not tried: the receiver is down", age, now, self._random)
            if later is None:
                self._lanes.again(head)
            else:
                self._retry(head, later, "put_back")

    def _retry(self, delivery: Delivery, retry: RetryAt, tally: Tally) -> None:
        self._outbox.retry(delivery.id, retry.attempts, retry.at, retry.reason)
        self._meter.count(tally)
        if retry.at - self._clock() <= REST:
            self._lanes.rest(replace(delivery, attempts=retry.attempts, next_at=retry.at))
            self._kick.set()
        else:
            self._lanes.leave(delivery.lane)
            self._ledger_due = min(self._ledger_due, retry.at)


async def _raise(error: Exception) -> None:
    raise error


def _receiver(url: str) -> str:
    """Host and port. The rest of a URL may be a secret of the receiver's."""
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return url  # a carrier's
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "unusable"
    return f"{parts.hostname}:{port}"
