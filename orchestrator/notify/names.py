"""Finds the addresses of a receiver's name: on threads of our own, once for all who ask at a time."""

import asyncio
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from orchestrator.notify.errors import NameNotFound

AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it: family, type, protocol, canonical name, socket address."""

TTL = 10.0
"""Seconds that an answer is kept."""
_MOST = 1024


class Resolver(Protocol):
    """DNS."""

    async def resolve(self, host: str, port: int) -> list[AddrInfo]:
        """The addresses of `host`, the one to try first in front. Raises OSError when there are none."""
        ...


class ThreadResolver:
    """getaddrinfo on threads of our own: a receiver's slow name server holds up nobody else's look-ups."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="notify-dns")

    async def resolve(self, host: str, port: int) -> list[AddrInfo]:
        look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        return [*await asyncio.get_running_loop().run_in_executor(self._pool, look_up)]

    def close(self) -> None:
        """End the threads; those that wait for a name server end when it answers."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class LookUps:
    """The look-ups under way, and the recent answers."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._known: dict[tuple[str, int], tuple[float, list[AddrInfo]]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[list[AddrInfo]]] = {}

    async def find(self, host: str, port: int) -> list[AddrInfo]:
        """The addresses of `host`, at least one. Raises NameNotFound."""
        key = (host, port)
        now = asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(self._resolver.resolve(host, port))
            asked.add_done_callback(functools.partial(self._answered, key))
        try:
            # Shielded: who gives up does not take the answer from the others who wait for it.
            found = await asyncio.shield(asked)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
            raise NameNotFound(host) from error
        if not found:
            raise NameNotFound(host)
        return found

    async def close(self) -> None:
        """Give up the look-ups under way."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _answered(self, key: tuple[str, int], task: asyncio.Task[list[AddrInfo]]) -> None:
        self._asked.pop(key, None)
        self._known.pop(key, None)
        # Asking for the exception also marks it as seen when everybody who waited has given up.
        if task.cancelled() or task.exception() is not None:
            return
        if len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = (asyncio.get_running_loop().time() + TTL, task.result())
