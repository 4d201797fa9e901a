"""The SQLite schema, as steps from one version to the next. A step, once released, is never changed."""

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x6F726368
"""Marks the file as a ledger (https://sqlite.org/pragma.html#pragma_application_id): "orch"."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        sealed BLOB,
        body BLOB NOT NULL,
        priority INTEGER NOT NULL,
        caller_id TEXT,
        created_at REAL NOT NULL,
        next_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        cancel INTEGER NOT NULL DEFAULT 0,
        outcome TEXT,
        reason TEXT,
        ended_at REAL
    );
    CREATE INDEX jobs_queue ON jobs (caller_id, priority, next_at) WHERE state = 'queued';
    CREATE INDEX jobs_next ON jobs (next_at) WHERE state = 'queued';
    CREATE INDEX jobs_expiry ON jobs (expires_at) WHERE state = 'queued';
    CREATE INDEX jobs_cancel ON jobs (state) WHERE cancel = 1 AND state <> 'ended';
    CREATE INDEX jobs_ended ON jobs (ended_at) WHERE state = 'ended';

    CREATE TABLE calls (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        job_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        pbx TEXT NOT NULL,
        ended_at REAL,
        cdr BLOB,
        cdr_sent INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX calls_job ON calls (job_id);
    CREATE INDEX calls_open ON calls (job_id) WHERE ended_at IS NULL;
    CREATE INDEX calls_cdr ON calls (ended_at) WHERE cdr_sent = 0 AND cdr IS NOT NULL;

    -- By the call's number, not by its random id: the journals of calls that live at the same time lie
    -- together, and a commit writes a page or two instead of one for each call.
    CREATE TABLE journal (
        call INTEGER NOT NULL,
        n INTEGER NOT NULL,
        at REAL NOT NULL,
        event BLOB NOT NULL,
        PRIMARY KEY (call, n)
    ) WITHOUT ROWID;

    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        lane TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        url TEXT NOT NULL,
        type TEXT NOT NULL,
        body BLOB NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX outbox_lane ON outbox (lane, sequence);
    CREATE INDEX outbox_pending ON outbox (next_at) WHERE state = 'pending';
    CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';
    CREATE INDEX outbox_cdr ON outbox (created_at) WHERE type = 'cdr';
    """,
    """
    CREATE INDEX outbox_stopped ON outbox (lane) WHERE state = 'stopped';

    CREATE TABLE lease (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        token INTEGER NOT NULL,
        beat INTEGER NOT NULL,
        worker TEXT NOT NULL,
        pid INTEGER NOT NULL,
        locked INTEGER NOT NULL,
        apps BLOB NOT NULL,
        seen_at REAL NOT NULL
    );
    """,
    """
    ALTER TABLE lease ADD COLUMN seen_monotonic REAL NOT NULL DEFAULT 0;
    ALTER TABLE lease ADD COLUMN boot TEXT NOT NULL DEFAULT '';
    """,
    """
    -- Apart from the calls: a recording is deleted from its PBX though its job was forgotten before.
    CREATE TABLE recordings (
        call_id TEXT PRIMARY KEY,
        pbx TEXT NOT NULL,
        recording TEXT NOT NULL,
        at REAL NOT NULL
    );
    CREATE INDEX recordings_at ON recordings (at);
    """,
    """
    -- What limits count by. Where none is configured, the columns of a call are empty and the indexes too.
    ALTER TABLE calls ADD COLUMN at REAL;
    ALTER TABLE calls ADD COLUMN callee TEXT;
    ALTER TABLE calls ADD COLUMN caller TEXT;
    ALTER TABLE calls ADD COLUMN application TEXT;
    ALTER TABLE calls ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX calls_callee ON calls (callee, at) WHERE callee IS NOT NULL;
    CREATE INDEX calls_caller ON calls (caller, at) WHERE caller IS NOT NULL;
    CREATE INDEX calls_callee_live ON calls (callee) WHERE callee IS NOT NULL AND ended_at IS NULL;
    CREATE INDEX calls_caller_live ON calls (caller) WHERE caller IS NOT NULL AND ended_at IS NULL;
    CREATE INDEX calls_application ON calls (application) WHERE application IS NOT NULL AND ended_at IS NULL;

    -- Whose calls must become fewer before the job may be dialled.
    ALTER TABLE jobs ADD COLUMN held TEXT;
    CREATE INDEX jobs_held ON jobs (held, priority DESC, created_at)
        WHERE held IS NOT NULL AND state = 'queued';
    """,
)


class SchemaError(Exception):
    """The file is no ledger, or one of a newer version."""


def check(db: sqlite3.Connection, path: str) -> int:
    """The schema's version, 0 for an empty file. Changes nothing.

    Raises `SchemaError` for a ledger written by a newer version, and for another program's database.
    """
    # One statement, so that another process's migration is seen whole or not at all.
    application, version, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise SchemaError(f"{path} is a database, but no ledger; name another file")
    if version > len(MIGRATIONS):
        raise SchemaError(
            f"{path} was written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that version, or use another file"
        )
    return int(version)


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Bring the schema up to this version, each step in one transaction.

    Raises `SchemaError`, as `check` does.
    """
    version = check(db, path)
    for n in range(version, len(MIGRATIONS)):
        # Another process may be migrating: the version is read again under the write lock.
        db.execute("BEGIN IMMEDIATE")
        try:
            if int(db.execute("PRAGMA user_version").fetchone()[0]) == n:
                for statement in MIGRATIONS[n].split(";"):
                    if statement.strip():
                        db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {n + 1}")
            db.execute("COMMIT")
        except sqlite3.Error:
            db.execute("ROLLBACK")
            raise
