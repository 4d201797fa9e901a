"""`orchestrator call`: ring one phone and watch."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from orchestrator.cli.fail import UNUSABLE, Failure
from orchestrator.cli.options import config_option, json_option, read_config
from orchestrator.config import Config
from orchestrator.intake.accept import MAX_JOB_BYTES
from orchestrator.validate import Invalid

_NAMES = {
    "to": "NUMBER",
    "from": "--from",
    "code": "--code",
    "language": "--language",
    "template": "--template",
    "plays": "--plays",
    "variables": "--var",
    "ring_timeout": "--ring-timeout",
    "max_duration": "--max-duration",
    "priority": "--priority",
    "user_data": "--user-data",
}


@click.command()
@click.argument("number", metavar="NUMBER", required=False)
@click.option(
    "--job",
    "job_file",
    metavar="FILE",
    help="A whole job as JSON, of any kind, from a file or from standard input with `-`; no NUMBER then.",
)
@click.option("--code", metavar="DIGITS", help="What is spoken. Visible for a moment in the process list.")
@click.option(
    "--code-file", metavar="FILE", help="Read the code from a file, or from standard input with `-`: better."
)
@click.option("--language", metavar="TAG", help="Such as en or zh-CN.")
@click.option("--template", metavar="NAME", help="The prompt; `code` if not given.")
@click.option(
    "--plays", type=int, metavar="N", help="How often the prompt is played, 1 to 9; 2 if not given."
)
@click.option("--from", "from_", metavar="NUMBER", help="The caller ID, one of the configured ones.")
@click.option("--ring-timeout", type=float, metavar="S", help="Seconds that it may ring, 5 to 120.")
@click.option("--max-duration", type=float, metavar="S", help="Seconds that the call may last.")
@click.option("--var", "variables", multiple=True, metavar="NAME=TEXT", help="A variable of the template.")
@click.option("--priority", type=int, metavar="N", help="0 to 9, higher first.")
@click.option("--user-data", metavar="TEXT", help="Echoed in notifications and call records.")
@config_option
@json_option
def call(
    number: str | None,
    job_file: str | None,
    code: str | None,
    code_file: str | None,
    variables: Sequence[str],
    from_: str | None,
    config_file: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Ring NUMBER (E.164, such as +12025550100), speak the code, and show the call live to its verdict.

    With --job it is the job in FILE that is called: a code, a notice with its keys, or a callback.

    Exits 0 only when the call was completed, 1 when it ended otherwise. Where a worker runs on the ledger
    it makes the call, else this command does. Ctrl-C hangs up.

    The code is best given by a file or a pipe: `echo 493817 | orchestrator call +12025550100 --code-file -`.
    """
    config = read_config(config_file)
    job = {name: value for name, value in given.items() if value is not None}
    if job_file is not None:
        if number is not None or code is not None or code_file is not None or variables or from_ or job:
            raise click.UsageError("--job FILE says everything; give no NUMBER and no other option.")
        raw = _read(job_file, "--job", MAX_JOB_BYTES + 1)
        with _named_by_option():
            sys.exit(_place(config, raw.encode(), as_json))
    if number is None:
        raise click.UsageError("which NUMBER? Or give a whole job by --job FILE.")
    job |= {"to": number, "code": _code(code, code_file), "variables": dict(map(_variable, variables))}
    if from_ is not None:
        job["from"] = from_
    with _named_by_option():
        sys.exit(_place(config, msgspec.json.encode(job), as_json))


def _place(config: Config, raw: bytes, as_json: bool) -> int:
    # Imported late: a bad option should be told at once.
    import structlog
    import uvloop

    from orchestrator.cli.calling import Display, place
    from orchestrator.cli.plain import JsonLines, PlainLines

    # The display tells what matters; the rooms' logs would tear it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def run(display: Display) -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(place(config, raw, display))

    if as_json:
        return run(JsonLines())
    if not sys.stdout.isatty() or (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return run(PlainLines())
    from rich.console import Console

    from orchestrator.cli.screen import Screen

    screen = Screen(Console(highlight=False), play_lengths(config, raw))
    with contextlib.closing(screen):
        return run(screen)


def _code(code: str | None, code_file: str | None) -> str:
    if code is not None and code_file is not None:
        raise click.UsageError("give either --code or --code-file.")
    if code is not None:
        return code
    if code_file is None:
        if sys.stdin.isatty():
            return str(click.prompt("Code", hide_input=True, err=True))
        raise click.UsageError("the code is missing: --code-file FILE, or `-` for standard input.")
    return _read(code_file, "--code-file", 4096).strip()


def _read(file: str, option: str, most: int) -> str:
    try:
        if file == "-":
            return sys.stdin.read(most)
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(most)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise Failure(f"{option}: {file} cannot be read: {why}.", UNUSABLE) from None


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise click.UsageError("--var is to be NAME=TEXT.")
    return name, value


def play_lengths(config: Config, raw: bytes) -> list[int]:
    """How long each prompt lasts in ms, for the progress bars; empty for a faulty job, refused later on."""
    from orchestrator import setup
    from orchestrator.intake.say import prompts_of
    from orchestrator.job import read_job

    try:
        job = read_job(raw, min_code_digits=config.jobs.min_code_digits)
    except Invalid:
        return []
    return list(prompts_of(job, setup.voices(config, setup.load_prompts(config)), []).ms)


@contextlib.contextmanager
def _named_by_option() -> Iterator[None]:
    """Name a fault of the job by the option that brought it."""
    try:
        yield
    except Invalid as invalid:
        lines = []
        for fault in invalid.faults:
            name, dot, rest = fault.path.removeprefix("$.").partition(".")
            lines.append(f"\n  {_NAMES.get(name, fault.path)}{dot}{rest}: {fault.message}")
        raise Failure("nobody was called:" + "".join(lines), UNUSABLE) from None
