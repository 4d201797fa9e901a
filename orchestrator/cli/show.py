"""`orchestrator show`: all that is known of a job."""

import asyncio
from datetime import datetime

import click
import msgspec

from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_exists, config_option, json_option, print_json, read_config
from orchestrator.cli.plain import step_fields, undelivered
from orchestrator.cli.timeline import Story, details, notified, signals, story, told_of
from orchestrator.config import Config
from orchestrator.job import INTERNAL
from orchestrator.ledger.records import Summary
from orchestrator.ledgers import opened, worker_runs
from orchestrator.notify.payload import rfc3339


@click.command()
@click.argument("job")
@config_option
@json_option
def show(job: str, config_file: str | None, as_json: bool) -> None:
    """Tell all that is known of JOB: its steps, its calls, its notifications, its verdict.

    What is secret (the code, the variables) is never shown. Exits 1 when there is no such job.
    """
    config = read_config(config_file)
    check_ledger_exists(config)
    told, summary = asyncio.run(_look_up(config, job))
    if as_json:
        print_json(_fields(told, summary))
    else:
        _print(told, summary, worker_runs(config))


async def _look_up(config: Config, job: str) -> tuple[Story, Summary]:
    async with opened(config) as ledger:
        followed = await in_time(config, ledger, ledger.follow(job), "")
        summary = await in_time(config, ledger, ledger.summary(job), "")
    if followed is None or summary is None:
        raise Failure(f"there is no job {job} in this ledger.", WORK_FAILED)
    return story(followed), summary


def _fields(told: Story, summary: Summary) -> dict[str, object]:
    job = told.job
    body = msgspec.json.decode(job.body)
    # How long a play is tells nobody anything, and where it came from is plain by now.
    shown = {name: value for name, value in body.items() if value is not None and name not in INTERNAL}
    return {
        "id": job.id,
        "state": job.state.value,
        "outcome": job.outcome,
        "reason": job.reason,
        "attempts": job.attempts,
        "created_at": rfc3339(job.created_at),
        "expires_at": rfc3339(job.expires_at),
        "ended_at": None if job.ended_at is None else rfc3339(job.ended_at),
        "cancel_requested": job.cancel,
        "waits_for": summary.waits_for,
        "job": shown,
        "steps": [step_fields(told, step) for step in told.steps],
        "calls": list(summary.cdrs),
        "notifications": summary.notifications,
        "problem": summary.problem,
    }


def _print(told: Story, summary: Summary, worker: bool) -> None:
    job, public = told.job, told_of(told.job.body)
    verdict = click.style(job.outcome or told.doing, bold=True, fg=_colour(job.outcome))
    click.echo(f"{click.style(job.id, bold=True)}  {verdict}" + (f", {job.reason}" if job.reason else ""))
    about = [f"caller {public.caller}"] if public.caller else []
    about.append(f"to {public.to}")
    if public.from_:
        about.append(f"from {public.from_}")
    about.append(f"kind {public.kind}")
    if not public.caller:
        about.append(f"{public.plays} plays")
    elif public.record:
        about.append("to be recorded")
    if public.language:
        about.append(public.language)
    if public.user_data:
        about.append(f"user_data {public.user_data!r}")
    click.echo("  " + ", ".join(about))
    click.echo(f"  accepted {_local(job.created_at)}, expires {_local(job.expires_at)}")
    click.echo()
    for step in told.steps[1:]:
        more = f": {step.fields['outcome']}, {step.fields['reason']}" if step.event == "hangup" else ""
        click.echo(f"  {'+' + format(step.at - job.created_at, '.3f') + ' s':>12}  {step.text}{more}")
    said = [*details(told), *([signals(told)] if signals(told) else [])]
    if said:
        click.echo(f"\n  {', '.join(said)}")
    if summary.waits_for:
        whose = "to its number" if summary.waits_for == "callee_calls" else "of its application"
        click.echo(f"  it waits: as many calls {whose} live as {summary.waits_for} allows")
    if job.cancel and not told.ended:
        click.echo("  its end has been asked for")
    if summary.notifications:
        click.echo(f"  notifications: {notified(summary.notifications)}")
    problem = undelivered(summary, worker)
    if problem:
        click.echo(f"  {problem}")


def _colour(outcome: str | None) -> str | None:
    if outcome is None:
        return None
    return "green" if outcome == "completed" else "yellow"


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
