"""A call as plain lines, or as JSON lines: for pipes, logs and programs."""

from typing import Any

import click

from orchestrator.cli.options import print_json
from orchestrator.cli.timeline import Step, Story, details, notified, over_fields, signals, told_of
from orchestrator.ledger.records import Summary
from orchestrator.notify.payload import rfc3339


class PlainLines:
    """Prints each step once: `+1.204s ringing`."""

    def __init__(self) -> None:
        self._steps = 0
        self._note = ""

    def update(self, now: float, told: Story, note: str) -> None:
        """Print what is new."""
        if self._steps == 0:
            click.echo(f"job {told.job.id}, to {told_of(told.job.body).to}")
        for step in told.steps[self._steps :]:
            click.echo(f"+{step.at - told.job.created_at:.3f}s {step.text}{_figures(step)}")
        self._steps = len(told.steps)
        if note and note != self._note and not note.startswith("dialling again"):
            click.echo(f"+{now - told.job.created_at:.3f}s {note}")
        self._note = note

    def end(self, told: Story, summary: Summary | None) -> None:
        """Print the verdict."""
        ended_at = told.job.ended_at or told.job.created_at
        click.echo(f"+{ended_at - told.job.created_at:.3f}s {told.job.outcome}: {told.job.reason}")
        said = [*details(told), *([signals(told)] if signals(told) else [])]
        if said:
            click.echo("  " + ", ".join(said))
        if summary is not None and summary.notifications:
            click.echo(f"  notifications: {notified(summary.notifications)}")
        problem = undelivered(summary)
        if problem:
            click.echo(f"  {problem}", err=True)


class JsonLines:
    """Prints one JSON object a step, and a last one with the verdict (`event` is `verdict`)."""

    def __init__(self) -> None:
        self._steps = 0

    def update(self, now: float, told: Story, note: str) -> None:
        """Print what is new."""
        for step in told.steps[self._steps :]:
            print_json(step_fields(told, step))
        self._steps = len(told.steps)

    def end(self, told: Story, summary: Summary | None) -> None:
        """Print the verdict."""
        print_json(verdict_fields(told, summary))


def step_fields(told: Story, step: Step) -> dict[str, Any]:
    """A step for programs. `seconds` counts from the acceptance."""
    return {
        "event": step.event,
        "job_id": told.job.id,
        "at": rfc3339(step.at),
        "seconds": round(step.at - told.job.created_at, 3),
        **({"attempt": step.attempt} if step.attempt else {}),
        **step.fields,
    }


def verdict_fields(told: Story, summary: Summary | None) -> dict[str, Any]:
    """The verdict for programs: the job's, with what the latest call's end says."""
    job = told.job
    ended_at = job.ended_at or job.created_at
    return {
        "event": "verdict",
        "job_id": job.id,
        "at": rfc3339(ended_at),
        "seconds": round(ended_at - job.created_at, 3),
        **(over_fields(told.over) if told.over is not None else {}),
        "outcome": job.outcome,
        "reason": job.reason,
        "attempts": job.attempts,
        "notifications": summary.notifications if summary is not None else {},
    }


def undelivered(summary: Summary | None, worker: bool | None = None) -> str:
    """What to say when notifications have not arrived; empty when all is well.

    `worker` says whether one runs; None where that is not known.
    """
    if summary is None:
        return ""
    waiting, dead = summary.notifications.get("pending", 0), summary.notifications.get("dead", 0)
    if not waiting and not dead:
        return ""
    why = f" ({summary.problem})" if summary.problem else ""
    if not waiting:
        return (
            f"{dead} notifications were given up{why}; send them again with: orchestrator deadletters replay"
        )
    then = {
        True: "The worker that runs tries again by itself.",
        False: "They stay in the ledger until a worker (orchestrator run) delivers them.",
        None: "They stay in the ledger; a worker (orchestrator run) goes on delivering them.",
    }[worker]
    if not summary.problem:
        return f"{waiting} notifications not delivered yet. {then}"
    own = told_of(summary.job.body).notify_url is not None
    where = "the job's own notify.url" if own else "notify.url"
    return f"{waiting} notifications not delivered yet{why}. {then} Does the receiver run, at {where}?"


def _figures(step: Step) -> str:
    if step.event == "hangup":
        return f": {step.fields['outcome']}, {step.fields['reason']}"
    return ""
