"""Who holds SQLite's write lock: the kernel knows.

A process that was stopped in the middle of a transaction keeps the lock, and nobody can write. Linux lists
the locks in /proc/locks (proc(5)); in WAL mode the write lock is the byte 120 of the `-shm` file
(https://sqlite.org/walformat.html#the_wal_index_file_format, "Locking"). The file itself must not be opened
for this: closing it would drop the locks of our own connection.
"""

from pathlib import Path
from typing import Final

WRITE_LOCK: Final = 120


def write_lock_holder(ledger: Path, locks: Path = Path("/proc/locks")) -> int | None:
    """The process that holds the write lock of `ledger` now. None when nobody does, or the kernel does not
    say."""
    try:
        shared = ledger.with_name(ledger.name + "-shm").stat()
        lines = locks.read_text("ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 25356 fe:00:123456 120 120
        fields = line.split()
        if len(fields) != 8 or fields[1:4] != ["POSIX", "ADVISORY", "WRITE"]:
            continue
        if int(fields[5].rpartition(":")[2]) != shared.st_ino:
            continue
        if int(fields[6]) <= WRITE_LOCK and (fields[7] == "EOF" or int(fields[7]) >= WRITE_LOCK):
            holder = int(fields[4])
            return holder if holder > 0 else None
    return None
