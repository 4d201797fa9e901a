"""`orchestrator cancel`: end a job."""

import asyncio

import click

from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_exists, config_option, json_option, print_json, read_config
from orchestrator.cli.workers import worker_hint
from orchestrator.config import Config
from orchestrator.ledger.records import JobRow, JobState
from orchestrator.ledgers import opened


@click.command()
@click.argument("job")
@config_option
@json_option
def cancel(job: str, config_file: str | None, as_json: bool) -> None:
    """Ask for the end of JOB. A waiting job is not dialled any more, a call is hung up.

    Exits 1 when there is no such job, or when it has ended already.
    """
    config = read_config(config_file)
    check_ledger_exists(config)
    found = asyncio.run(_cancel(config, job))
    if found is None:
        raise Failure(f"there is no job {job} in this ledger.", WORK_FAILED)
    if found.state is JobState.ENDED:
        raise Failure(f"job {job} has ended already: {found.outcome}, {found.reason}.", WORK_FAILED)
    if as_json:
        print_json({"id": found.id, "state": found.state.value, "cancel_requested": True})
        return
    queued = found.state is JobState.QUEUED
    click.echo(f"job {job}: " + ("it will not be dialled." if queued else "its call is being hung up."))
    hint = worker_hint(config)
    if hint:
        click.echo(hint, err=True)


async def _cancel(config: Config, job: str) -> JobRow | None:
    async with opened(config) as ledger:
        return await in_time(config, ledger, ledger.request_cancel(job))
