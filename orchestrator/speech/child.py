"""One run of an engine: a program of its own, text on standard input, a sound on standard output.

A text may hold a job's variables. So it is never an argument (anybody can list those), and no core file may
be left of a process that has read it; what a program says on its standard error is not kept, for it may
quote what it was given. No shell, a clean environment, a folder of its own, bounds on time, size and
processor.
"""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

OUTPUT: Final = "{output}"
MAX_OUTPUT: Final = 64 << 20
"""Bytes: ten minutes at 48 kHz and more."""

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_NICE: Final = 10


class ChildFailed(Exception):
    """The program did not do it. The message is the reason and holds nothing of the text."""


def run(
    argv: Sequence[str],
    given: bytes,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    told: bool = False,
) -> bytes:
    """Run `argv` with `given` on its standard input; return its standard output, or the file `{output}`.

    `told`: the program is one of ours, and its last line of standard error is a reason that may be shown.
    Raises `ChildFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-speech-") as folder:
        made = Path(folder) / "made.wav"
        line = [part.replace(OUTPUT, str(made)) for part in argv]
        out = _run(line, given, timeout, {**_clean(folder), **(environment or {})}, folder, told)
        if line == list(argv):
            return out
        try:
            if made.stat().st_size > MAX_OUTPUT:
                raise ChildFailed("it made more than 64 MB")
            return made.read_bytes()
        except OSError:
            raise ChildFailed("it wrote no file") from None


def _clean(folder: str) -> dict[str, str]:
    return {"PATH": _PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": folder, "TMPDIR": folder}


def _run(
    argv: Sequence[str], given: bytes, timeout: float, environment: dict[str, str], folder: str, told: bool
) -> bytes:
    deadline = time.monotonic() + timeout
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if told else subprocess.DEVNULL,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise ChildFailed(f"it cannot be run: {error.strerror}") from None
    try:
        _bound(process.pid, timeout)
        found = _exchange(process, given, deadline)
        _await_end(process.pid, deadline)
        _kill(process.pid)
        code = process.wait()
        why = _last_line(process) if code and told else ""
    except TimeoutError:
        raise ChildFailed(f"it took longer than {timeout:g} s") from None
    finally:
        if process.returncode is None:
            _kill(process.pid)
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    if code:
        raise ChildFailed(why or f"it ended with {_name(code)}")
    return found


def _bound(pid: int, timeout: float) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MAX_OUTPUT, MAX_OUTPUT))
        seconds = int(timeout * (os.cpu_count() or 1)) + 1
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))
        os.setpriority(os.PRIO_PROCESS, pid, _NICE)


def _await_end(pid: int, deadline: float) -> None:
    """Wait until the process has ended, and leave it to be waited for: its number stays its own."""
    end = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(end, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
    finally:
        os.close(end)


def _kill(pid: int) -> None:
    """End the whole group, which has the number of the process that has not been waited for yet."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _exchange(process: subprocess.Popen[bytes], given: bytes, deadline: float) -> bytes:
    """Hand the text over and read until the end. Raises `ChildFailed`, `TimeoutError`."""
    if process.stdin is None or process.stdout is None:
        raise ChildFailed("it has no pipes")
    parts: list[bytes] = []
    size = written = 0
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while True:
            left = deadline - time.monotonic()
            ready = selector.select(max(0.0, left)) if left > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    written = _write(process.stdin.fileno(), given, written)
                    if written >= len(given):
                        selector.unregister(process.stdin)
                        with contextlib.suppress(BrokenPipeError):
                            process.stdin.close()
                    continue
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    return b"".join(parts)
                parts.append(part)
                size += len(part)
                if size > MAX_OUTPUT:
                    raise ChildFailed("it made more than 64 MB")


def _write(fd: int, given: bytes, written: int) -> int:
    """Return how much is written now; all of it when the other side does not want to read on."""
    try:
        return written + os.write(fd, given[written : written + (1 << 16)])
    except BlockingIOError:
        return written
    except BrokenPipeError:
        return len(given)


def _name(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _last_line(process: subprocess.Popen[bytes]) -> str:
    text = process.stderr.read(4096).decode("utf-8", "replace") if process.stderr is not None else ""
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else ""
