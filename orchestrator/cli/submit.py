"""`orchestrator submit`: jobs from a file or standard input."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from orchestrator import setup
from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_folder, config_option, json_option, print_json, read_config
from orchestrator.cli.workers import worker_hint
from orchestrator.clock import steady_clock
from orchestrator.config import Config
from orchestrator.guard.seal import Seal
from orchestrator.intake.accept import Rules, accept
from orchestrator.ledger.records import JobState, NewJob
from orchestrator.ledgers import opened
from orchestrator.validate import Fault, Invalid

Line = tuple[int, bytes]
_AT_ONCE = 500


@click.command()
@click.argument("file", default="-")
@config_option
@json_option
def submit(file: str, config_file: str | None, as_json: bool) -> None:
    """Take jobs from FILE, or from standard input with `-`: one JSON object, or one a line.

    Prints one id a line. All or nothing: when any line is not a valid job, every fault is named with its line
    and path, nothing is stored, and the exit code is 2. A job that was taken before is the same job; one with
    a known id and other content is a conflict: it is refused, the others are stored, the exit code is 1.
    """
    config = read_config(config_file)
    lines = list(_jobs_in(_read(file)))
    if not lines:
        raise Failure("there is no job in the input: give JSON objects, one a line.", UNUSABLE)
    check_ledger_folder(config)
    conflicts = asyncio.run(_submit(config, lines, as_json))
    hint = worker_hint(config)
    if hint and sys.stderr.isatty():
        click.echo(hint, err=True)
    if conflicts:
        sys.exit(WORK_FAILED)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.", UNUSABLE) from None


def _jobs_in(content: bytes) -> Iterator[Line]:
    """Each job with the line it stands in. One object may be spread over several lines."""
    try:
        whole = isinstance(msgspec.json.decode(content, type=msgspec.Raw), msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        whole = False
    if whole:
        yield 1, content
        return
    for n, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield n, line


async def _submit(config: Config, lines: list[Line], as_json: bool) -> int:
    clock = steady_clock()
    library = setup.load_prompts(config)
    # First with a key of the moment: the ledger's own may not exist yet, and faults are to leave nothing.
    trial = setup.rules(config, library, Seal(os.urandom(32)))
    _check(lines, trial, clock())
    rules = setup.rules(config, library, setup.load_seal(config))
    conflicts = 0
    async with opened(config) as ledger:
        clock = await in_time(config, ledger, ledger.clock(clock))
        accepted = [(n, accept(raw, rules, clock(), os.urandom(10))) for n, raw in lines]
        for start in range(0, len(accepted), _AT_ONCE):
            some = accepted[start : start + _AT_ONCE]
            became = await in_time(
                config, ledger, ledger.submit([job for _, job in some]), _left(start, accepted)
            )
            for (n, job), what in zip(some, became, strict=True):
                state: str = JobState.QUEUED
                if what == "same":
                    known = await in_time(config, ledger, ledger.summary(job.id), _left(start, accepted))
                    state = known.job.state if known is not None else state
                if what == "conflict":
                    state = what
                    conflicts += 1
                    click.echo(
                        f"line {n}: job {job.id} is known with other content. Give the new job another id.",
                        err=True,
                    )
                if as_json:
                    print_json({"id": job.id, "state": state})
                elif what != "conflict":
                    click.echo(job.id)
    return conflicts


def _left(done: int, accepted: list[tuple[int, NewJob]]) -> str:
    """What is in the ledger when it gets stuck after so many jobs."""
    if not done:
        return "Nothing was stored."
    return f"The jobs up to line {accepted[done - 1][0]} are stored, those after it are not."


def _check(lines: list[Line], rules: Rules, now: float) -> None:
    faults = []
    for n, raw in lines:
        try:
            accept(raw, rules, now, bytes(10))
        except Invalid as invalid:
            faults += [Fault(f"line {n}: {fault.path}", fault.message) for fault in invalid.faults]
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise Failure(f"nothing was stored:{listed}", UNUSABLE)
