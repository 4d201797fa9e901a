"""Whether the laws held. Shares no code with the worker: it reads what others wrote down.

It reads, in one folder: `jobs.jsonl` (what was submitted, and whether it was accepted), `ledger.db`,
`rings.tsv` (SIPp's own log of SIP messages), `webhooks.jsonl` (what the receiver got and answered),
`channels.json` (what Asterisk still had in the end).

    python -m tests.chaos.judge FOLDER
"""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

INVITE: Final = re.compile(r"INVITE sip:(\d+)@")
CERTAIN: Final = frozenset({"accepted", "refused", "ringing", "answered", "ready", "ended", "alive"})
"""Journal lines that prove what became of the request to dial. An attempt without one may have rung: its
job must not be dialled again."""
EARLY: Final = 0.1
"""Seconds by which two clocks of one machine may differ."""

Event = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One call of a job, as the ledger has it."""

    call_id: str
    number: int
    planned_at: float
    outcome: str | None
    certain: bool
    answered: bool
    journal: tuple[str, ...]
    """What happened, by name."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """A job, as the ledger has it."""

    state: str
    outcome: str | None
    attempts: tuple[Attempt, ...]


@dataclasses.dataclass(frozen=True)
class Arrival:
    """One notification as it came; `taken` when it was answered with 2xx."""

    at: float
    webhook: str
    taken: bool
    event: Event


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that is known of a run."""

    submitted: tuple[Mapping[str, Any], ...]
    stored: Mapping[str, Stored]
    rings: Mapping[str, tuple[float, ...]]
    """By number, when each call to it began."""
    arrivals: tuple[Arrival, ...]
    undelivered: int
    channels: int


Offences = dict[str, list[str]]
"""By law, whom it was broken for."""


def judge(found: Evidence) -> Offences:
    """Every law, with the ids that broke it; the lists are empty when all is well."""
    arrivals = defaultdict[str, list[Arrival]](list)
    for arrival in found.arrivals:
        if arrival.event["type"] != "cdr":
            arrivals[arrival.event["subject"]].append(arrival)
    ids = sorted({job["id"] for job in found.submitted if job["accepted"]} | found.stored.keys())
    return {
        **_rings(found),
        "missing_verdicts": [id for id in ids if not _verdicts(arrivals[id])],
        "duplicate_verdicts": [id for id in ids if len(_verdicts(arrivals[id])) > 1],
        "contradictions": [id for id in ids if _contradicts(found.stored.get(id), arrivals[id])],
        "sequence_gaps": [id for id in ids if _has_gap(arrivals[id])],
        "out_of_order": [id for id in ids if _is_out_of_order(arrivals[id])],
        "open_jobs": [id for id in ids if id not in found.stored or found.stored[id].state != "ended"],
        "changed_events": _changed(found.arrivals),
        **_records(found),
        **_hangups(found, arrivals),
    }


# ── the phone ──


def _rings(found: Evidence) -> Offences:
    double, unplanned, unseen, known = list[str](), list[str](), list[str](), set[str]()
    for job in found.submitted:
        number = job["to"].removeprefix("+")
        known.add(number)
        rings = found.rings.get(number, ())
        stored = found.stored.get(job["id"])
        attempts = stored.attempts if stored is not None else ()
        if rings and (not attempts or rings[0] < attempts[0].planned_at - EARLY):
            unplanned.append(job["id"])
        if _rang_twice(job["retry"], rings, attempts):
            double.append(job["id"])
        if any(attempt.answered for attempt in attempts) and not rings:
            unseen.append(job["id"])
    strangers = [number for number in found.rings if number not in known]
    return {"double_rings": double, "unplanned_rings": unplanned + strangers, "unseen_rings": unseen}


def _rang_twice(
    retry: Mapping[str, Any] | None, rings: tuple[float, ...], attempts: Iterable[Attempt]
) -> bool:
    """Each attempt may ring once, and another attempt is right only after what `retry` names, when what
    became of the former is certain."""
    rightful, before = list[Attempt](), None
    for attempt in attempts:
        if before is not None and not _may_follow(retry, before, attempt):
            break
        rightful.append(attempt)
        before = attempt
    if len(rings) > len(rightful):
        return True
    starts = [attempt.planned_at - EARLY for attempt in rightful]
    return any(
        sum(start <= ring < until for ring in rings) > 1 for start, until in pairwise((*starts, float("inf")))
    )


def _may_follow(retry: Mapping[str, Any] | None, before: Attempt, attempt: Attempt) -> bool:
    return (
        retry is not None
        and before.certain
        and before.outcome in retry["on"]
        and before.number + 1 == attempt.number <= retry["attempts"]
    )


# ── the receiver ──


def _verdicts(arrivals: Iterable[Arrival]) -> set[str]:
    return {each.webhook for each in arrivals if each.taken and each.event["type"] == "job.ended"}


def _contradicts(stored: Stored | None, arrivals: Iterable[Arrival]) -> bool:
    said = {each.event["data"]["outcome"] for each in arrivals if each.event["type"] == "job.ended"}
    return stored is not None and bool(said) and said != {stored.outcome}


def _sequence(arrival: Arrival) -> int:
    return int(arrival.event["data"]["sequence"])


def _has_gap(arrivals: Iterable[Arrival]) -> bool:
    taken = {_sequence(each) for each in arrivals if each.taken}
    return taken != set(range(1, len(taken) + 1))


def _is_out_of_order(arrivals: Iterable[Arrival]) -> bool:
    """Nothing may come before all that is before it was taken, and nothing at all after the verdict."""
    taken, last = 0, None
    for each in arrivals:
        sequence = _sequence(each)
        if sequence > taken + 1 or (last is not None and sequence > last):
            return True
        if each.taken:
            taken = max(taken, sequence)
            if each.event["type"] == "job.ended":
                last = sequence
    return False


def _changed(arrivals: Iterable[Arrival]) -> list[str]:
    """Events that came twice and were not the same."""
    first = dict[str, Event]()
    return sorted(
        {each.webhook for each in arrivals if first.setdefault(each.webhook, each.event) != each.event}
    )


def _records(found: Evidence) -> Offences:
    calls = {attempt.call_id for job in found.stored.values() for attempt in job.attempts}
    batches = {
        each.webhook: each.event for each in found.arrivals if each.taken and each.event["type"] == "cdr"
    }
    records = Counter(record["call_id"] for batch in batches.values() for record in batch["data"]["records"])
    return {
        "missing_records": sorted(calls - records.keys()),
        "duplicate_records": sorted(call for call, times in records.items() if times > 1),
    }


def _hangups(found: Evidence, arrivals: Mapping[str, Collection[Arrival]]) -> Offences:
    wrong = []
    for id, job in found.stored.items():
        told = {
            (each.webhook, each.event["data"]["call_id"])
            for each in arrivals.get(id, ())
            if each.taken and each.event["type"] == "call.hangup"
        }
        if sorted(call for _, call in told) != sorted(attempt.call_id for attempt in job.attempts):
            wrong.append(id)
    return {"wrong_hangups": wrong}


# ── reading ──


def read_evidence(folder: Path) -> Evidence:
    """What lies in `folder`."""
    return Evidence(
        submitted=tuple(json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()),
        stored=read_ledger(folder / "ledger.db"),
        rings=read_rings(folder / "rings.tsv"),
        arrivals=_read_arrivals(folder / "webhooks.jsonl"),
        undelivered=_count(folder / "ledger.db", "SELECT count(*) FROM outbox WHERE state <> 'delivered'"),
        channels=len(json.loads((folder / "channels.json").read_text())),
    )


def read_rings(log: Path) -> dict[str, tuple[float, ...]]:
    """By number, when each call to it began. A repeated INVITE has the Call-ID of the first."""
    began = dict[str, tuple[str, float]]()
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            invite = INVITE.match(fields[-1])
            if len(fields) == 7 and fields[3] == "R" and invite:
                began.setdefault(fields[4], (invite[1], float(fields[2])))
    rings = defaultdict[str, list[float]](list)
    for number, at in began.values():
        rings[number].append(at)
    return {number: tuple(sorted(times)) for number, times in rings.items()}


def read_ledger(path: Path) -> dict[str, Stored]:
    db = sqlite3.connect(path)
    try:
        journal = defaultdict[int, list[tuple[float, str]]](list)
        for call, at, event in db.execute("SELECT call, at, event FROM journal ORDER BY call, n"):
            journal[call].append((at, json.loads(event)["e"]))
        attempts = defaultdict[str, list[Attempt]](list)
        calls = "SELECT number, id, job_id, attempt, cdr FROM calls ORDER BY job_id, attempt"
        for key, call_id, job_id, number, cdr in db.execute(calls):
            record = json.loads(cdr) if cdr is not None else {}
            attempts[job_id].append(
                Attempt(
                    call_id=call_id,
                    number=number,
                    planned_at=journal[key][0][0] if journal[key] else 0.0,
                    outcome=record.get("outcome"),
                    certain=any(name in CERTAIN for _, name in journal[key]),
                    answered=record.get("answered_at") is not None,
                    journal=tuple(name for _, name in journal[key]),
                )
            )
        return {
            id: Stored(state, outcome, tuple(attempts[id]))
            for id, state, outcome in db.execute("SELECT id, state, outcome FROM jobs")
        }
    finally:
        db.close()


def _count(path: Path, query: str) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute(query).fetchone()[0])
    finally:
        db.close()


def _read_arrivals(log: Path) -> tuple[Arrival, ...]:
    found = []
    with log.open("rb") as lines:
        for line in lines:
            data = json.loads(line)
            found.append(Arrival(data["at"], data["id"], data["taken"], data["event"]))
    return tuple(found)


def figures(found: Evidence, offences: Offences) -> dict[str, Any]:
    """The counts that are to be zero, and how much there was of what."""
    webhooks = {each.webhook for each in found.arrivals if each.taken}
    return {
        "calls": sum(bool(job["accepted"]) for job in found.submitted),
        **{law: len(ids) for law, ids in offences.items()},
        "stray_channels": found.channels,
        "undelivered": found.undelivered,
        "rings": sum(map(len, found.rings.values())),
        "attempts": sum(len(job.attempts) for job in found.stored.values()),
        "webhooks": len(webhooks),
        "repeated_deliveries": sum(each.taken for each in found.arrivals) - len(webhooks),
        "refused_deliveries": sum(not each.taken for each in found.arrivals),
        "outcomes": dict(Counter(job.outcome or "none" for job in found.stored.values()).most_common()),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    found = read_evidence(folder)
    offences = judge(found)
    print(json.dumps(figures(found, offences), indent=2))
    broken = {law: ids for law, ids in offences.items() if ids}
    print(json.dumps(broken, indent=2), file=sys.stderr)
    sys.exit(1 if broken or found.channels or found.undelivered else 0)


if __name__ == "__main__":
    main()
