"""`orchestrator recording`: fetch what was recorded of a callback."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator import setup
from orchestrator.audio.alaw import alaw_wav
from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import UNREACHABLE, WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_exists, config_option, json_option, print_json, read_config
from orchestrator.clock import steady_clock
from orchestrator.config import Config
from orchestrator.ledgers import opened
from orchestrator.pbx.errors import PbxError, RecordingNotFound


@click.command()
@click.argument("job")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write it; JOB.wav if not given, standard output with `-`.",
)
@click.option("--alaw", is_flag=True, help="As A-law: half the size, and what the line carried.")
@click.option(
    "--attempt", type=int, metavar="N", help="Of which attempt; the latest that was recorded if not given."
)
@config_option
@json_option
def recording(
    job: str, output: str | None, alaw: bool, attempt: int | None, config_file: str | None, as_json: bool
) -> None:
    """Fetch the recording of JOB, a callback, from the PBX that made it, as a WAV file (8 kHz, mono).

    It is there once the call is over, for as many days as `callback.keep_days` says.
    """
    config = read_config(config_file)
    check_ledger_exists(config)
    cdr, wav = asyncio.run(_fetch(config, job, attempt))
    content = alaw_wav(wav) if alaw else wav
    if output == "-":
        sys.stdout.buffer.write(content)
        return
    path = Path(output) if output is not None else Path(f"{job.replace(':', '-')}.wav")
    try:
        write_private(path, content)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.", WORK_FAILED) from None
    if as_json:
        print_json({"job": job, "call": cdr["call_id"], "file": str(path), "bytes": len(content)})
        return
    click.echo(
        f"{path}: {cdr['talk_seconds']:.1f} s of talk between {cdr['legs'][0]['number']} and {cdr['to']}."
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody but its owner reads: it holds what two people said to each other. One that is
    there keeps the permissions that it has. Raises `OSError`."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


async def _fetch(config: Config, job: str, attempt: int | None) -> tuple[dict[str, Any], bytes]:
    async with opened(config) as ledger:
        summary = await in_time(config, ledger, ledger.summary(job), "")
    if summary is None:
        raise Failure(f"there is no job {job} in this ledger.", WORK_FAILED)
    recorded = [cdr for cdr in summary.cdrs if cdr.get("recording")]
    if attempt is not None:
        recorded = [cdr for cdr in recorded if cdr["attempt"] == attempt]
    if not recorded:
        raise Failure(f"nothing was recorded of job {job}.", WORK_FAILED)
    cdr = recorded[-1]
    node = next((pbx for pbx in config.pbx if pbx.name == cdr["pbx"]), None)
    if node is None:
        raise Failure(f"the recording lies on pbx {cdr['pbx']}, which is configured no more.", WORK_FAILED)
    pbx = setup.make_pbx(node, lambda signal: None, steady_clock())
    try:
        return cdr, await pbx.fetch_recording(cdr["recording"])
    except RecordingNotFound:
        days = config.callback.keep_days
        raise Failure(
            f"the recording is no longer there; they are kept for {days:g} days.", WORK_FAILED
        ) from None
    except PbxError as error:
        raise Failure(f"{error}.", UNREACHABLE) from None
