"""A full disk takes nothing more, and a freed one does; nothing stays mounted."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.disk import Limited, Tmpfs, disk

WRITER = """
import sys
for _ in sys.stdin:
    open(sys.argv[1], "ab", 0).write(b"x" * 4096)
    print("ok", flush=True)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system")
def test_a_small_file_system_can_be_filled_and_freed_and_is_gone_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with disk(folder, 1) as small:
        if not isinstance(small, Tmpfs):
            pytest.skip("mounting is refused here")
        small.fill(())
        with pytest.raises(OSError, match=r"No space left") as full, (folder / "file").open("wb", 0) as file:
            file.write(b"x")
        assert full.value.errno == errno.ENOSPC
        small.free(())
        (folder / "file").write_bytes(b"x" * 4096)
        assert str(folder) in Path("/proc/mounts").read_text()
    assert str(folder) not in Path("/proc/mounts").read_text()


def test_a_limited_process_cannot_let_a_file_grow_until_it_is_freed(tmp_path: Path) -> None:
    limited, file = Limited(tmp_path), tmp_path / "ledger.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ok\n"
        limited.fill([process.pid])
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert b"File too large" in process.stderr.read()
    assert file.stat().st_size == 4096
    limited.free([process.pid])  # one that has ended is none of its business
