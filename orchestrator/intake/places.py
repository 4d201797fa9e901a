"""The folders of a drop folder, and each step that a file takes through them. Blocking: run it on a thread.

    incoming/  NAME.json                 the producer's, renamed in
    taking/    TAKE-NAME.json            being taken; what a crash leaves here is taken up again
    done/      NAME.json                 a receipt: the job's id. The producer's file, with its code, is gone
    failed/    NAME.json, NAME.json.reason   what could not be taken, and why
    replies/   JOB.SEQUENCE.json         notifications

Every step is one rename, or leaves the file where it was; so a crash between any two leaves a file that is
judged once more. A file is moved to `taking` before it is read: what a producer renames in meanwhile under
the same name is another file. Nothing but a regular file is ever opened.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from orchestrator.intake.accept import MAX_JOB_BYTES
from orchestrator.intake.desk import Message

SETTLE: Final = 5.0
"""Seconds after its last change that a file which is no whole JSON yet may be one that is still written."""
LONGEST_NAME: Final = 200
_SUFFIX: Final = ".json"
_MODE: Final = 0o640
_UNREADABLE: Final = frozenset(
    {errno.EINVAL, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV}
)
"""What the file itself is to blame for."""

_log = structlog.get_logger(__name__)


class Found(Struct, frozen=True):
    """A file that is being taken."""

    taking: str
    """Its name in `taking`."""
    name: str
    """What the producer called it."""
    message: Message


class Places:
    """The folders below `root`."""

    def __init__(self, root: Path, failed: str) -> None:
        self.incoming = root / "incoming"
        self.taking = root / "taking"
        self.done = root / "done"
        self.failed = root / failed
        self._stuck: set[str] = set()

    def prepare(self) -> None:
        """Make the folders that are missing. Raises OSError, and PermissionError for a folder that anybody
        may write to: whoever can put a file there can have calls made."""
        for folder in (self.incoming, self.taking, self.done, self.failed):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            if folder.stat().st_mode & stat.S_IWOTH:
                raise PermissionError(f"{folder} may be written to by everybody: chmod o-w {folder}")
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} cannot be read and written to by this user")

    def left_over(self, limit: int) -> list[Found]:
        """What a crash left half-taken."""
        with os.scandir(self.taking) as entries:
            names = [entry.name for _, entry in zip(range(limit), entries, strict=False)]
        return [found for name in sorted(names) if (found := self._read(name)) is not None]

    def gather(self, limit: int, now: float) -> list[Found]:
        """Take up to `limit` files of `incoming`, those that were changed first before the others."""
        names = sorted(self._ready(limit, now))
        claimed = (self._claim(name) for _, name in names)
        return [found for each in claimed if each is not None and (found := self._read(each)) is not None]

    def _ready(self, limit: int, now: float) -> Iterator[tuple[int, str]]:
        count = 0
        with os.scandir(self.incoming) as entries:
            for entry in entries:
                name = entry.name
                if name[:1] == "." or not name.endswith(_SUFFIX) or name in self._stuck:
                    continue
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if now - state.st_mtime < SETTLE and stat.S_ISREG(state.st_mode) and not self._whole(name):
                    continue
                yield state.st_mtime_ns, name
                count += 1
                if count == limit:
                    return

    def _whole(self, name: str) -> bool:
        """Whether a young file is one whole JSON value, or will be none: its writer may not be done."""
        try:
            raw = _content(self.incoming / name)
            msgspec.json.decode(raw, type=msgspec.Raw)
        except (OSError, ValueError):
            return False
        except RecursionError:  # deep enough to be no job, whatever follows
            return True
        return True

    def _claim(self, name: str) -> str | None:
        short = name if len(os.fsencode(name)) <= LONGEST_NAME else _digest(name) + _SUFFIX
        taking = f"{os.urandom(4).hex()}-{short}"
        try:
            (self.incoming / name).rename(self.taking / taking)
        except FileNotFoundError:  # another worker has it
            return None
        except OSError as error:
            self._stuck.add(name)
            _log.warning("intake_file_stuck", file=str(self.incoming / _shown(name)), reason=error.strerror)
            return None
        return taking

    def _read(self, taking: str) -> Found | None:
        name = taking.partition("-")[2] or taking
        unfit, raw = "", b""
        try:
            raw = _content(self.taking / taking)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _UNREADABLE:  # the machine's fault, and gone another time
                raise
            unfit = f"the file cannot be read: {error.strerror}"
        return Found(taking, name, Message(name, raw, unfit))

    # What becomes of it.

    def accept(self, found: Found, job_id: str) -> None:
        """Leave a receipt, and let the file go: it holds a code."""
        write(self.done / found.name, msgspec.json.encode({"id": job_id, "file": _shown(found.name)}))
        (self.taking / found.taking).unlink(missing_ok=True)

    def refuse(self, found: Found, reason: str) -> None:
        """Put it aside for the producer to mend, with the reason beside it."""
        name = found.name
        if os.path.lexists(self.failed / name):  # another one of that name failed before
            name = f"{name.removesuffix(_SUFFIX)}.{found.taking[:8]}{_SUFFIX}"
        beside = self.failed / f"{name}.reason"
        write(beside, reason.encode("utf-8", "replace") + b"\n")
        try:
            (self.taking / found.taking).rename(self.failed / name)
        except FileNotFoundError:  # another worker was quicker
            beside.unlink(missing_ok=True)

    def prune(self, keep: int) -> int:
        """Delete receipts beyond the newest `keep`. How many files lie in `failed`."""
        self._stuck.clear()
        with os.scandir(self.done) as entries:
            ages = [(entry.stat(follow_symlinks=False).st_mtime_ns, entry.name) for entry in entries]
        for _, name in sorted(ages)[: max(0, len(ages) - keep)]:
            (self.done / name).unlink(missing_ok=True)
        return count(self.failed)


def count(folder: Path) -> int:
    """How many jobs or notifications lie in a folder."""
    with os.scandir(folder) as entries:
        return sum(entry.name.endswith(_SUFFIX) for entry in entries)


def write(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that nobody ever sees a part of it; with `durable` it outlives a loss of power."""
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(handle)
        partial.rename(path)
    except OSError:  # a full disk: what is left would fill it further
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(path: Path) -> bytes:
    """A regular file's bytes, one more than a job may have at the most. Raises OSError for anything else."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = b""
        while len(content) <= MAX_JOB_BYTES and (part := os.read(handle, MAX_JOB_BYTES + 1 - len(content))):
            content += part
        return content
    finally:
        os.close(handle)


def _digest(name: str) -> str:
    return hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name)
