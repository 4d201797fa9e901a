"""`orchestrator deadletters`: notifications that were given up."""

import asyncio
import time
from collections.abc import Sequence

import click

from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_exists, config_option, json_option, print_json, read_config
from orchestrator.cli.workers import worker_hint
from orchestrator.config import Config
from orchestrator.ledger.records import DeadLetter
from orchestrator.ledgers import opened
from orchestrator.notify.payload import rfc3339


@click.group()
def deadletters() -> None:
    """Notifications that were given up after every try."""


@deadletters.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, metavar="N")
@config_option
@json_option
def list_(limit: int, config_file: str | None, as_json: bool) -> None:
    """List them, the oldest first."""
    config = read_config(config_file)
    check_ledger_exists(config)
    found = asyncio.run(_list(config, limit))
    for letter in found:
        if as_json:
            print_json(
                {
                    "id": letter.id,
                    "job_id": letter.job_id,
                    "type": letter.type,
                    "sequence": letter.sequence,
                    "url": letter.url,
                    "created_at": rfc3339(letter.created_at),
                    "attempts": letter.attempts,
                    "error": letter.error,
                }
            )
        else:
            click.echo(
                f"{rfc3339(letter.created_at)}  {letter.job_id}  {letter.type} #{letter.sequence}  "
                f"{letter.attempts} tries: {letter.error}"
            )
    if not found and not as_json:
        click.echo("There are none.")


@deadletters.command("replay")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--all", "all_", is_flag=True, help="Those of every job.")
@config_option
@json_option
def replay(jobs: Sequence[str], all_: bool, config_file: str | None, as_json: bool) -> None:
    """Have those of each JOB, or all, delivered again. Exits 1 when there were none."""
    if bool(jobs) == all_:
        raise click.UsageError("name the jobs, or give --all.")
    config = read_config(config_file)
    check_ledger_exists(config)
    count = asyncio.run(_replay(config, jobs))
    if as_json:
        print_json({"replayed": count})
    elif count:
        click.echo(f"{count} notifications are on their way again.")
    if not count:
        raise Failure("there was nothing to replay.", WORK_FAILED)
    hint = worker_hint(config)
    if hint:
        click.echo(hint, err=True)


async def _list(config: Config, limit: int) -> list[DeadLetter]:
    async with opened(config) as ledger:
        return await in_time(config, ledger, ledger.dead_letters(limit), "")


async def _replay(config: Config, jobs: Sequence[str]) -> int:
    async with opened(config) as ledger:
        clock = await in_time(config, ledger, ledger.clock(time.time))
        return await in_time(config, ledger, ledger.replay_dead(jobs, clock()))
