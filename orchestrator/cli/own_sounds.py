"""`orchestrator sounds add` and `remove`: an operator's own recordings, played as `own/NAME`."""

import re
from pathlib import Path
from typing import Final

import click

from orchestrator.audio.g711 import encode_alaw, encode_ulaw
from orchestrator.audio.recording import MAX_BYTES, fit_recording
from orchestrator.audio.riff import RiffError
from orchestrator.audio.wav import seconds, wav_bytes
from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.install import write_whole
from orchestrator.cli.options import config_option, json_option, print_json, read_config_if_any
from orchestrator.config import OWN_SOUNDS, Config

OWN: Final = "own"
"""The folder in it, and what the ids of these sounds begin with."""
TEXT: Final = "txt"
_BESIDE: Final = ("ulaw", "alaw", TEXT)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_MAX_TEXT: Final = 500


def own_folder(config: Config) -> Path:
    """Where these sounds are kept: a root of the library beside the configuration."""
    return config.path(OWN_SOUNDS) / OWN


def own_text(wav: Path) -> str:
    """What a recording says, as its operator wrote it; empty when he did not."""
    try:
        return wav.with_suffix(f".{TEXT}").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@click.command("add")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", help="1 to 64 of a-z 0-9 _ -; else the file's own.")
@click.option(
    "--text", default="", metavar="TEXT", help="What it says, for lists and for whoever comes later."
)
@click.option("--replace", is_flag=True, help="Take the place of the recording that has this name.")
@config_option
@json_option
def add(
    file: Path, name: str | None, text: str, replace: bool, config_file: str | None, as_json: bool
) -> None:
    """Add a recording of your own: a WAV file, mono, PCM of 16 bits or A-law or µ-law, 8 or 16 kHz, at most
    2 MB.

    It is converted once to what a PBX plays without transcoding, and kept in own-sounds/own beside the
    configuration. Templates play it by <audio src="own/NAME"/>, the items of a notice by "sound": "own/NAME".
    Exits 1 when it is not fit to be played, with the reason.
    """
    config = read_config_if_any(config_file)
    name = _checked(name if name is not None else file.stem.lower())
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.", UNUSABLE) from None
    try:
        pcm = fit_recording(content)
    except RiffError as error:
        raise Failure(
            f"{file} cannot be played: {error}. Convert it, such as with: "
            f"sox {file.name} -r 8000 -c 1 -b 16 {name}.wav",
            WORK_FAILED,
        ) from None
    files = {"ulaw": encode_ulaw(pcm), "alaw": encode_alaw(pcm), "wav": wav_bytes(pcm)}
    if text.strip():
        files[TEXT] = f"{' '.join(text.split())[:_MAX_TEXT]}\n".encode()
    stem = own_folder(config) / name
    _store(stem, files, replace)
    ms = round(seconds(pcm) * 1000)
    if as_json:
        print_json({"id": f"{OWN}/{name}", "ms": ms, "file": str(stem.with_suffix(".wav"))})
        return
    click.echo(f"{OWN}/{name}, {ms} ms, is in {stem.parent}.")
    click.echo("Now bring it to the PBX (orchestrator sounds install), and restart the worker.")


@click.command("remove")
@click.argument("name")
@config_option
@json_option
def remove(name: str, config_file: str | None, as_json: bool) -> None:
    """Remove the recording own/NAME. Its copies in the PBX's folder stay: jobs may still play them."""
    name = _checked(name)
    stem = own_folder(read_config_if_any(config_file)) / name
    if not stem.with_suffix(".wav").exists():
        raise Failure(f"there is no recording {OWN}/{name} in {stem.parent}.", WORK_FAILED)
    try:
        for ending in (*_BESIDE, "wav"):
            stem.with_suffix(f".{ending}").unlink(missing_ok=True)
    except OSError as error:
        raise Failure(f"{error.filename} cannot be removed: {error.strerror}.", WORK_FAILED) from None
    if as_json:
        print_json({"id": f"{OWN}/{name}", "removed": True})
        return
    click.echo(
        f"{OWN}/{name} is removed. Restart the worker; the copy in the PBX's folder is yours to delete."
    )


def _checked(name: str) -> str:
    name = name.removeprefix(f"{OWN}/")
    if not _NAME.fullmatch(name):
        raise Failure(f'"{name}" is no name of a sound. Give --name 1 to 64 of a-z 0-9 _ -.', UNUSABLE)
    return name


def _store(stem: Path, files: dict[str, bytes], replace: bool) -> None:
    wav = stem.with_suffix(".wav")
    try:
        same = wav.exists() and wav.read_bytes() == files["wav"]
        if wav.exists() and not same and not replace:
            raise Failure(
                f"{OWN}/{stem.name} is another recording. Choose another --name, or --replace it.",
                WORK_FAILED,
            )
        # A worker may read the library at any moment: it takes a WAV alone, and nothing without its WAV.
        for ending in () if same else _BESIDE:
            stem.with_suffix(f".{ending}").unlink(missing_ok=True)
        for ending in ("wav", *_BESIDE):
            if ending in files:
                write_whole(stem.with_suffix(f".{ending}"), files[ending])
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}.", WORK_FAILED) from None
