"""The PostgreSQL schema, as steps from one version to the next. A step, once released, is never changed."""

from typing import Final

import asyncpg

from orchestrator.ledger.schema import SchemaError

MIGRATIONS: tuple[str, ...] = (
    """
    -- Codes are erased by writing a row anew, and queue rows change often: they are tidied up soon.
    CREATE TABLE jobs (
        id text PRIMARY KEY,
        state text NOT NULL,
        fingerprint bytea NOT NULL,
        sealed bytea,
        body bytea NOT NULL,
        priority integer NOT NULL,
        caller_id text NOT NULL,          -- '' for any
        created_at double precision NOT NULL,
        next_at double precision NOT NULL,
        expires_at double precision NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        cancel boolean NOT NULL DEFAULT false,
        outcome text,
        reason text,
        ended_at double precision
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 85);
    CREATE INDEX jobs_queue ON jobs (caller_id, priority, next_at) WHERE state = 'queued';
    CREATE INDEX jobs_next ON jobs (next_at) WHERE state = 'queued';
    CREATE INDEX jobs_expiry ON jobs (expires_at) WHERE state = 'queued';
    CREATE INDEX jobs_cancel ON jobs (state) WHERE cancel AND state <> 'ended';
    CREATE INDEX jobs_ended ON jobs (ended_at) WHERE state = 'ended';

    CREATE TABLE calls (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        job_id text NOT NULL,
        attempt integer NOT NULL,
        pbx text NOT NULL,
        worker text NOT NULL,             -- in whose application its channel lives
        ended_at double precision,
        cdr bytea,
        cdr_sent boolean NOT NULL DEFAULT false
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 85);
    CREATE INDEX calls_job ON calls (job_id);
    CREATE INDEX calls_open ON calls (pbx, worker) WHERE ended_at IS NULL;
    CREATE INDEX calls_cdr ON calls (ended_at) WHERE NOT cdr_sent AND cdr IS NOT NULL;

    CREATE TABLE journal (
        call bigint NOT NULL,
        n integer NOT NULL,
        at double precision NOT NULL,
        event bytea NOT NULL,
        PRIMARY KEY (call, n)
    );

    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id text NOT NULL,
        lane text NOT NULL,
        sequence integer NOT NULL,
        url text NOT NULL,
        type text NOT NULL,
        body bytea NOT NULL,
        state text NOT NULL DEFAULT 'pending',
        worker text NOT NULL,             -- who delivers it; '' is anybody
        attempts integer NOT NULL DEFAULT 0,
        created_at double precision NOT NULL,
        next_at double precision NOT NULL,
        error text NOT NULL DEFAULT ''
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 85);
    CREATE INDEX outbox_lane ON outbox (lane, sequence);
    CREATE INDEX outbox_pending ON outbox (worker, next_at) WHERE state = 'pending';
    CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';
    CREATE INDEX outbox_cdr ON outbox (created_at) WHERE type = 'cdr';
    CREATE INDEX outbox_stopped ON outbox (lane) WHERE state = 'stopped';

    CREATE SEQUENCE worker_tokens;
    CREATE TABLE workers (
        name text PRIMARY KEY,
        token bigint NOT NULL,
        beat bigint NOT NULL DEFAULT 0,
        patience double precision NOT NULL,  -- seconds of standing still after which it counts as dead
        process text NOT NULL,               -- who had it last, see process.py; '' once it let go
        host text NOT NULL,
        pid integer NOT NULL,
        heir text NOT NULL DEFAULT '',       -- which worker ends the calls of this one, which is dead
        wanted boolean NOT NULL DEFAULT false,  -- it is back, and waits for the heir to let go
        apps bytea NOT NULL,                 -- by PBX node, the application in which its channels live
        seen_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 50);

    -- Each transaction of a worker begins with writing its row: that proves that the token is still its own,
    -- and shows afterwards whether the transaction was stored.
    CREATE TABLE guards (
        worker text NOT NULL,
        stream text NOT NULL,
        token bigint NOT NULL,
        mark bigint NOT NULL,
        PRIMARY KEY (worker, stream)
    ) WITH (fillfactor = 20);

    -- Apart from the calls: a recording is deleted from its PBX though its job was forgotten before.
    CREATE TABLE recordings (
        call_id text PRIMARY KEY,
        pbx text NOT NULL,
        recording text NOT NULL,
        at double precision NOT NULL
    );
    CREATE INDEX recordings_at ON recordings (at);

    CREATE TABLE nodes (
        name text PRIMARY KEY,
        next_at double precision NOT NULL    -- before this no call may start there
    ) WITH (fillfactor = 50);
    """,
    """
    -- What limits count by. Where none is configured, the columns of a call are empty and the indexes too.
    ALTER TABLE calls ADD COLUMN at double precision, ADD COLUMN callee text, ADD COLUMN caller text,
        ADD COLUMN application text, ADD COLUMN limited boolean NOT NULL DEFAULT false;
    CREATE INDEX calls_callee ON calls (callee, at) WHERE callee IS NOT NULL;
    CREATE INDEX calls_caller ON calls (caller, at) WHERE caller IS NOT NULL;
    CREATE INDEX calls_callee_live ON calls (callee) WHERE callee IS NOT NULL AND ended_at IS NULL;
    CREATE INDEX calls_caller_live ON calls (caller) WHERE caller IS NOT NULL AND ended_at IS NULL;
    CREATE INDEX calls_application ON calls (application) WHERE application IS NOT NULL AND ended_at IS NULL;

    -- Whose calls must become fewer before the job may be dialled.
    ALTER TABLE jobs ADD COLUMN held text;
    CREATE INDEX jobs_held ON jobs (held, priority DESC, created_at)
        WHERE held IS NOT NULL AND state = 'queued';
    """,
    """
    -- A callback has two.
    ALTER TABLE calls ADD COLUMN legs integer NOT NULL DEFAULT 1;

    -- The starts that count against a node's calls a second: those that its PBX may have made just now. It is
    -- written anew all the time, and never holds more than a second's worth.
    CREATE TABLE starts (
        channel text PRIMARY KEY,
        pbx text NOT NULL,
        at double precision NOT NULL,        -- for when it was booked
        made_at double precision             -- when the PBX confirmed it
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
    """,
)

_LOCK: Final = 0x6F726368
"""Whoever migrates holds this advisory lock: "orch"."""


async def check(db: asyncpg.Connection, name: str) -> int:
    """The schema's version, 0 for an empty database. Changes nothing.

    Raises `SchemaError` for a ledger written by a newer version, and for another program's tables.
    """
    tables = {
        row[0]
        for row in await db.fetch(
            "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
        )
    }
    if "orchestrator_ledger" not in tables:
        if tables:
            raise SchemaError(
                f"{name} holds other tables, but no ledger; name an empty database, or give the role a "
                "schema of its own"
            )
        return 0
    version = int(await db.fetchval("SELECT version FROM orchestrator_ledger"))
    if version > len(MIGRATIONS):
        raise SchemaError(
            f"{name} was written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that version, or use another database"
        )
    return version


async def migrate(db: asyncpg.Connection, name: str) -> None:
    """Bring the schema up to this version, in one transaction.

    Raises `SchemaError`, as `check` does.
    """
    if await check(db, name) == len(MIGRATIONS):
        return
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        version = await check(db, name)  # another process may have migrated while we waited
        if version == 0:
            await db.execute(
                "CREATE TABLE orchestrator_ledger (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
                " version integer NOT NULL, key_mark bytea);"
                "INSERT INTO orchestrator_ledger (version) VALUES (0)"
            )
        for n in range(version, len(MIGRATIONS)):
            await db.execute(MIGRATIONS[n])
            await db.execute("UPDATE orchestrator_ledger SET version = $1", n + 1)
