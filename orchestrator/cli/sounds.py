"""`orchestrator sounds`: the library's sounds, and the way to the folder where the PBX reads them."""

from pathlib import Path
from typing import Final

import click

from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.install import install_sounds
from orchestrator.cli.options import config_option, json_option, print_json, read_config_if_any
from orchestrator.cli.own_sounds import OWN, add, own_text, remove
from orchestrator.pbx.places import FORMATS, GUESSES, PLAYED, guess_folder
from orchestrator.setup import load_prompts


@click.group()
def sounds() -> None:
    """The recorded sounds that prompts are made of."""


sounds.add_command(add)
sounds.add_command(remove)

_NAMES: Final = {"asterisk": "Asterisk", "freeswitch": "FreeSWITCH"}


@sounds.command("install")
@click.option(
    "--to", metavar="DIR", help="The PBX's folder of sounds; else the first of the usual ones that exists."
)
@click.option(
    "--format",
    "encoding",
    type=click.Choice([*FORMATS, "all"]),
    default="all",
    show_default=True,
    help="Which encodings; `all` that the PBX plays from.",
)
@config_option
@json_option
def install(to: str | None, encoding: str, config_file: str | None, as_json: bool) -> None:
    """Put the sounds where the PBX reads them: DIR/orchestrator/LANGUAGE/….

    Run it on the PBX's machine, as a user who may write there. What is up to date is left alone, and nothing
    is ever removed. Asterisk or FreeSWITCH: as the configuration says, Asterisk without one.
    """
    config = read_config_if_any(config_file)
    library = load_prompts(config)
    wanted = sorted({(pbx.kind, pbx.sounds) for pbx in config.pbx if pbx.kind in PLAYED}) or [
        ("asterisk", "orchestrator")
    ]
    places = [(kind, _folder(kind, prefix, to)) for kind, prefix in wanted]
    written = unchanged = 0
    for kind, place in places:
        formats = PLAYED[kind] if encoding == "all" else (encoding,)
        try:
            done = install_sounds(library, place, formats)
        except OSError as error:
            raise Failure(
                f"{error.filename} cannot be written: {error.strerror}. Run this as one who may write there.",
                WORK_FAILED,
            ) from None
        written += done.written
        unchanged += done.unchanged
    folders = list(dict.fromkeys(str(place) for _, place in places))
    if as_json:
        print_json(
            {"folders": folders, "sounds": len(library.sounds), "written": written, "unchanged": unchanged}
        )
        return
    seen = " and ".join(dict.fromkeys(_NAMES[kind] for kind, _ in places))
    verb = "sees" if seen in _NAMES.values() else "see"
    click.echo(
        f"{len(library.sounds)} sounds in {' and '.join(folders)}: {written} files written, "
        f"{unchanged} unchanged. {seen} {verb} them at once."
    )


def _folder(kind: str, prefix: str, to: str | None) -> Path:
    """Where that kind of PBX looks for `prefix`, which for FreeSWITCH may be a full path of its own."""
    if prefix.startswith("/"):
        return Path(prefix)
    name = _NAMES[kind]
    folder = Path(to) if to is not None else guess_folder(kind)
    if folder is None:
        looked = ", ".join(GUESSES[kind])
        raise Failure(f"{name}'s folder of sounds was not found ({looked}). Name it with --to DIR.", UNUSABLE)
    if not folder.is_dir():
        raise Failure(f"there is no folder {folder}. Name {name}'s folder of sounds with --to DIR.", UNUSABLE)
    return folder / prefix


@sounds.command("list")
@click.option("--language", metavar="TAG", help="Only this language's.")
@config_option
@json_option
def list_(language: str | None, config_file: str | None, as_json: bool) -> None:
    """List the sounds: id, length, and the text that each speaks."""
    library = load_prompts(read_config_if_any(config_file))
    texts: dict[str, str] = {}
    for known in library.languages.values():
        for table in (known.digits, known.characters, known.numbers, known.phrases):
            texts |= {known.sounds[name].id: text for text, name in table.items()}
    own = (sound for sound in library.sounds.values() if sound.id.startswith(f"{OWN}/"))
    texts |= {sound.id: own_text(sound.wav) for sound in own}
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
