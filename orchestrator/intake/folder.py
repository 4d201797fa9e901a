"""Jobs as files in a folder, for producers that have no queue. See `places` for the way a file takes."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from orchestrator.intake.desk import Desk, Fate, Stored
from orchestrator.intake.options import Intake
from orchestrator.intake.places import Found, Places, count, write
from orchestrator.intake.source import IntakeDown, Replies, Source
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.schedule import Answered, Failed, Response

PRUNE_EVERY: Final = 30.0
"""Seconds between two countings of what has gathered."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:+\-]")


class FolderSource:
    """Takes files from `incoming`."""

    def __init__(self, places: Places, intake: Intake) -> None:
        self._places = places
        self._intake = intake
        self._pruned_at = -PRUNE_EVERY

    async def serve(self, desk: Desk) -> None:
        """See `Source.serve`."""
        places, limit = self._places, self._intake.prefetch
        try:
            await asyncio.to_thread(places.prepare)
            await self._prune()
            desk.up()
            while found := await asyncio.to_thread(places.left_over, limit):
                await self._take(desk, found)
            while True:
                await desk.room()
                await self._prune()
                found = await asyncio.to_thread(places.gather, limit, time.time())
                await self._take(desk, found)
                desk.lag(0 if len(found) < limit else await asyncio.to_thread(count, places.incoming))
                if len(found) < limit:
                    await asyncio.sleep(self._intake.poll_interval)
        except OSError as error:
            raise IntakeDown(str(error)) from None

    async def _take(self, desk: Desk, found: Sequence[Found]) -> None:
        if found:
            fates = await desk.take([each.message for each in found])
            await asyncio.to_thread(self._settle, found, fates)

    def _settle(self, found: Sequence[Found], fates: Sequence[Fate]) -> None:
        for each, fate in zip(found, fates, strict=True):
            if isinstance(fate, Stored):
                self._places.accept(each, fate.job_id)
            else:
                self._places.refuse(each, fate.reason)

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned_at < PRUNE_EVERY:
            return
        failed = await asyncio.to_thread(self._places.prune, self._intake.max_kept)
        if failed >= self._intake.max_kept:
            raise IntakeDown(f"{failed} files lie in {self._places.failed}: see to them, then remove them")
        self._pruned_at = time.monotonic()


class FolderReplies:
    """Puts notifications into a folder, a file each; the receiver deletes what it has read."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._lock = asyncio.Lock()
        self._left = 0

    async def send(self, delivery: Delivery) -> Response:
        """See `Carrier.send`. A notification that is sent again has the same file name."""
        try:
            async with self._lock:
                if self._left <= 0:
                    self._left = self._most - await asyncio.to_thread(self._count)
                if self._left <= 0:
                    return Failed(f"{self._most} notifications lie in {self._folder}, and nobody takes them")
                self._left -= 1
            name = f"{_UNSAFE.sub('_', delivery.lane)}.{delivery.sequence:06d}.json"
            # A job's id may begin with a dot, which would hide the file.
            path = self._folder / (f"_{name}" if name[0] == "." else name)
            await asyncio.to_thread(write, path, delivery.body, durable=True)
        except OSError as error:
            return Failed(f"cannot be written into {self._folder}: {error.strerror}")
        return Answered(204)

    def _count(self) -> int:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return count(self._folder)

    async def close(self) -> None:
        """Nothing is open."""


def make(intake: Intake, path_of: Callable[[str], Path], worker: str) -> tuple[Source, Replies | None]:
    """The two sides of a drop folder."""
    root = path_of(intake.jobs)
    replies = FolderReplies(root / intake.replies, intake.max_kept) if intake.replies else None
    return FolderSource(Places(root, intake.dead_place), intake), replies
