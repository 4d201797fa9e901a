"""`orchestrator doctor`: checks everything it depends on, and says the mend for each fault."""

import asyncio
import ssl
import sys
from urllib.parse import urlsplit

import click

from orchestrator.cli import checks
from orchestrator.cli.checks import Row
from orchestrator.cli.intake_checks import check_intake
from orchestrator.cli.options import config_option, json_option, print_json, read_config
from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.cli.speech_checks import check_speech, probing
from orchestrator.config import Config, ConfigError
from orchestrator.intake.options import REPLY_SCHEME
from orchestrator.ledgers import worker_runs
from orchestrator.notify.errors import NotifyError
from orchestrator.notify.sign import parse_secret
from orchestrator.setup import notify_settings, secrets_of

CONNECT_TIMEOUT = 5.0
_MARK = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


@click.command()
@config_option
@json_option
def doctor(config_file: str | None, as_json: bool) -> None:
    """Check the configuration, the ledger, each PBX, the prompts, the receiver and the queues.

    Nobody is called, nothing is sent, nothing is changed: a silent sound is put where speech engines put
    theirs, and removed when the PBX has been asked for it. Exits 0 when calls can be made (warnings or not),
    2 when something is to be configured, 3 when something cannot be reached; the latter wins.
    """
    try:
        config = read_config(config_file)
    except ConfigError as error:
        rows = [Row("fail", "configuration", str(error))]
    else:
        rows = [Row("ok", "configuration", "read, and without fault"), *asyncio.run(_look(config))]
    for row in rows:
        _print(row, as_json)
    failed = [row.exit_code for row in rows if row.level == "fail"]
    if not as_json:
        warned = sum(row.level == "warn" for row in rows)
        said = (
            checks.counted(len(rows), "check"),
            checks.counted(len(failed), "fault"),
            checks.counted(warned, "warning"),
        )
        click.echo(f"\n{', '.join(said)}.")
    sys.exit(max(failed, default=0))


async def _look(config: Config) -> list[Row]:
    runs = worker_runs(config)
    library, prompts = checks.load_prompts(config)
    rows = [*checks.check_clock(), *checks.check_ledger(config), *prompts]
    if not config.pbx:
        rows.append(Row("fail", "pbx", "none is configured", "add a [[pbx]] section"))
    rows += check_speech(config, library)
    with probing(config) as probe:
        nodes = (check_pbx(pbx, library, runs, probe) for pbx in config.pbx)
        queues = (check_intake(intake, config) for intake in config.intake)
        remote = await asyncio.gather(*nodes, _receiver(config), *queues)
    for some in remote:
        rows += some
    return [*rows, *checks.check_worker(config), *checks.check_limits(config)]


async def _receiver(config: Config) -> list[Row]:
    """Whether the receiver takes a connection. Nothing is sent: an event would have to be true."""
    rows: list[Row] = []
    try:
        for secret in secrets_of(config):
            parse_secret(secret)
        notify_settings(config)
    except (NotifyError, ConfigError) as error:
        rows.append(Row("fail", "notify", str(error), "correct notify.secret"))
    url = config.notify.url
    if url is not None and url.startswith(REPLY_SCHEME):
        return [*rows, Row("ok", "notify", f"into the queue {url.removeprefix(REPLY_SCHEME)}")]
    if url is None:
        mend = "set notify.url and notify.secret, unless each job brings its own"
        return [*rows, Row("warn", "notify", "no receiver is configured", mend)]
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            context = ssl.create_default_context() if secure else None
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
            writer.close()
    except (OSError, TimeoutError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or type(error).__name__)
        said = f"the receiver {parts.hostname}:{port} cannot be reached: {why}"
        rows.append(Row("fail", "notify", said, "start it, or correct notify.url", 3))
    else:
        rows.append(Row("ok", "notify", f"the receiver {parts.hostname}:{port} takes connections"))
    return rows


def _print(row: Row, as_json: bool) -> None:
    if as_json:
        found = {"level": row.level, "check": row.what, "said": row.said, "mend": row.mend}
        print_json(found | ({"exit_code": row.exit_code} if row.level == "fail" else {}))
        return
    mark, colour = _MARK[row.level]
    first, *more = row.said.splitlines()
    click.echo(f"{click.style(mark, fg=colour, bold=True)} {row.what:<14} {first}")
    for line in more:
        click.echo(f"{'':17}{line.strip()}")
    if row.mend:
        click.echo(f"{'':17}{click.style(f'mend: {row.mend}', fg=colour)}")
