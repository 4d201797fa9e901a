"""`orchestrator sounds`: the library's sounds, and the way to the folder where the PBX reads them."""

from pathlib import Path

import click

from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.install import FORMATS, GUESSES, guess_folder, install_sounds
from orchestrator.cli.options import config_option, json_option, print_json, read_config_if_any
from orchestrator.setup import load_prompts


@click.group()
def sounds() -> None:
    """The recorded sounds that prompts are made of."""


@sounds.command("install")
@click.option(
    "--to", metavar="DIR", help=f"Asterisk's folder of sounds; else the first of {', '.join(GUESSES)}."
)
@click.option(
    "--format",
    "encoding",
    type=click.Choice([*FORMATS, "all"]),
    default="all",
    show_default=True,
    help="Which encodings.",
)
@config_option
@json_option
def install(to: str | None, encoding: str, config_file: str | None, as_json: bool) -> None:
    """Put the sounds where the PBX reads them: DIR/orchestrator/LANGUAGE/….

    Run it on the PBX's machine, as a user who may write there. What is up to date is left alone, and nothing
    is ever removed.
    """
    config = read_config_if_any(config_file)
    folder = Path(to) if to is not None else guess_folder()
    if folder is None:
        raise Failure(
            f"Asterisk's folder of sounds was not found ({', '.join(GUESSES)}). Name it with --to DIR.",
            UNUSABLE,
        )
    if not folder.is_dir():
        raise Failure(
            f"there is no folder {folder}. Name Asterisk's folder of sounds with --to DIR.", UNUSABLE
        )
    library = load_prompts(config)
    formats = FORMATS if encoding == "all" else (encoding,)
    prefixes = sorted({pbx.sounds for pbx in config.pbx}) or ["orchestrator"]
    written = unchanged = 0
    for prefix in prefixes:
        try:
            done = install_sounds(library, folder / prefix, formats)
        except OSError as error:
            raise Failure(
                f"{error.filename} cannot be written: {error.strerror}. Run this as one who may write there.",
                WORK_FAILED,
            ) from None
        written += done.written
        unchanged += done.unchanged
    places = [str(folder / prefix) for prefix in prefixes]
    if as_json:
        print_json(
            {"folders": places, "sounds": len(library.sounds), "written": written, "unchanged": unchanged}
        )
        return
    click.echo(
        f"{len(library.sounds)} sounds in {' and '.join(places)}: {written} files written, "
        f"{unchanged} unchanged. Asterisk sees them at once."
    )


@sounds.command("list")
@click.option("--language", metavar="TAG", help="Only this language's.")
@config_option
@json_option
def list_(language: str | None, config_file: str | None, as_json: bool) -> None:
    """List the sounds: id, length, and the text that each speaks."""
    library = load_prompts(read_config_if_any(config_file))
    texts: dict[str, str] = {}
    for known in library.languages.values():
        for table in (known.digits, known.characters, known.phrases):
            texts |= {known.sounds[name].id: text for text, name in table.items()}
    shown = [
        sound
        for sound in library.sounds.values()
        if language is None or sound.id.lower().startswith(f"{language.lower()}/")
    ]
    if not shown:
        there = ", ".join(known.tag for known in library.languages.values())
        raise Failure(f"no sound of that language. There are: {there}.", WORK_FAILED)
    for sound in shown:
        text = texts.get(sound.id, "")
        if as_json:
            print_json({"id": sound.id, "ms": sound.ms, "encodings": ["wav", *sound.encodings], "text": text})
        else:
            click.echo(f"{sound.ms:6d} ms  {sound.id}" + (f"  {click.style(text, dim=True)}" if text else ""))
