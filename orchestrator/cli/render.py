"""`orchestrator render`: see and hear a prompt without a call."""

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.audio.wav import WavError
from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.options import config_option, json_option, print_json, read_config_if_any
from orchestrator.prompts import PromptError, describe, length, prepare, write_wav
from orchestrator.prompts.playlist import Playlist
from orchestrator.setup import load_prompts, load_speech, looking_seal

SAMPLE = "123456"


@click.command()
@click.argument("template")
@click.option("--code", metavar="DIGITS", default=SAMPLE, show_default=True, help="What `code` is.")
@click.option("--language", metavar="TAG", help="Such as en or zh-CN.")
@click.option("--var", "variables", multiple=True, metavar="NAME=TEXT", help="A variable of the template.")
@click.option("--plays", type=click.IntRange(1, 9), default=1, show_default=True, metavar="N")
@click.option("-o", "--output", metavar="FILE", help="Write a WAV (8000 Hz, mono) of what one would hear.")
@config_option
@json_option
def render(
    template: str,
    code: str,
    language: str | None,
    variables: Sequence[str],
    plays: int,
    output: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show what TEMPLATE makes: each sound, when it starts, and its text; with -o also hear it.

    The output spells the code. Exits 2 when the template cannot be spoken.
    """
    config = read_config_if_any(config_file)
    library = load_prompts(config)
    if not code.isascii() or not code.isdigit():
        raise click.UsageError("--code is to be digits.")
    # The names of what engines render hang on the ledger's key. To look at a prompt is not to make one.
    engine = load_speech(config, looking_seal(config).fingerprint)
    try:
        prepared = prepare(
            library,
            language or config.prompts.language,
            template,
            code=code,
            variables=dict(map(_variable, variables)),
            plays=plays,
            default_language=config.prompts.language,
            engine=engine,
        )
    except PromptError as error:
        raise Failure(str(error), UNUSABLE) from None
    if output is not None:
        try:
            spoken = {"speech": engine.folder} if engine is not None else {}
            write_wav(library, prepared.plays, Path(output), spoken)
        except WavError as error:
            raise Failure(str(error), WORK_FAILED) from None
    if as_json:
        print_json(
            {
                "template": template,
                "language": prepared.language,
                "seconds": round(sum(map(length, prepared.plays)) / 1000, 3),
                "plays": [_rows(play) for play in prepared.plays],
                "wav": output,
            }
        )
        return
    _print(prepared.plays)
    if output is not None:
        click.echo(f"Written to {output}; hear it with: aplay {output}", err=True)


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise click.UsageError("--var is to be NAME=TEXT.")
    return name, value


def _rows(play: Playlist) -> list[dict[str, object]]:
    return [
        {"start": row.start, "sound": row.sound, "ms": row.ms, "text": row.text} for row in describe(play)
    ]


def _print(plays: Sequence[Playlist]) -> None:
    shown: list[Playlist] = []
    for n, play in enumerate(plays, start=1):
        if play in shown:
            click.echo(f"play {n}: as play {shown.index(play) + 1}")
            continue
        shown.append(play)
        if len(plays) > 1:
            click.echo(f"play {n}:")
        width = max((len(item.sound) for item in play), default=0)
        for row in describe(play):
            pause = row.sound.startswith("silence/")
            line = f"{row.start / 1000:8.3f} s {row.ms:6d} ms  {row.sound:<{width}}  {row.text}".rstrip()
            click.echo(click.style(line, dim=True) if pause else line)
        click.echo(f"{length(play) / 1000:8.3f} s in all")
