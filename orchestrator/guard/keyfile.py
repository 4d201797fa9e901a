"""The file of keys: read again whenever it changes, written whole or not at all, for its owner alone."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from orchestrator.guard.keys import Key

_log = structlog.get_logger(__name__)


class KeysUnusable(Exception):
    """The file of keys cannot be used. The message names the mend."""


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


class KeyFile:
    """The keys by their ids, as the file has them now. What is no longer in it is no longer a key.

    A file that has become unreadable or is no such file changes nothing: the log says so, and the keys that
    were there go on. One that is gone holds none.
    """

    def __init__(self, path: Path) -> None:
        """Raises `KeysUnusable` when there is a file that cannot be used."""
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: dict[str, Key] = {}
        self._seen = _mark(path)
        self._keys = {key.id: key for key in read_keys(path)}

    @property
    def keys(self) -> Mapping[str, Key]:
        """Looks at the file each time, which takes microseconds."""
        seen = _mark(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._keys = {key.id: key for key in read_keys(self._path)}
            except KeysUnusable as fault:
                _log.error("http_keys_unusable", error=str(fault), note="the former keys stay")
            else:
                _log.info("http_keys_read", count=len(self._keys))
        return self._keys


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in the file; none when it is not there.

    Raises `KeysUnusable`.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Stored).keys
    except FileNotFoundError:
        return ()
    except OSError as fault:
        raise KeysUnusable(
            f"{path} cannot be read: {fault.strerror}. It must belong to the worker's user."
        ) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        why = str(fault) if isinstance(fault, msgspec.DecodeError) else "it is not JSON in UTF-8"
        raise KeysUnusable(
            f"{path} is no file of keys: {why}. Put it back from the backup, or make the keys anew."
        ) from None


def change_keys(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Replace the keys in the file by what `change` makes of them; one process at a time.

    Raises `KeysUnusable`, and whatever `change` raises, which leaves the file as it was.
    """
    try:
        with _locked(path):
            keys = change(read_keys(path))
            _write(path, msgspec.json.format(msgspec.json.encode(_Stored(1, keys)), indent=2) + b"\n")
    except OSError as fault:
        raise KeysUnusable(f"{path} cannot be written: {fault.strerror}.") from None


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Beside the file, which is replaced: a lock on that would be a lock on the former one.
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if path.exists():  # `sudo orchestrator keys add` must not take the file from the worker's user
            owner = path.stat()
            with contextlib.suppress(PermissionError):
                os.fchown(handle, owner.st_uid, owner.st_gid)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
