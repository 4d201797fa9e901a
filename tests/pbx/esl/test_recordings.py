"""Recordings as files: whose they are, that no name leads out of the folder, that a broken one is mended.
Tier: unit, on a folder of its own."""

import io
import os
import struct
import wave
from pathlib import Path

import pytest

from orchestrator.audio.cut_off import whole
from orchestrator.pbx.errors import PbxConfigError, PbxUnreachable, RecordingNotFound
from orchestrator.pbx.esl.recordings import delete, is_ours, name_of, path_of, read
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.fit import Unfit
from tests.pbx.esl.fake_esl import settings_for

PCM = bytes(range(200)) * 4
LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"


def kept(folder: Path) -> EslSettings:
    return settings_for("esl://127.0.0.1", recordings_folder=str(folder))


def wav(pcm: bytes = PCM) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(pcm)
    return file.getvalue()


def samples(data: bytes) -> bytes:
    with wave.open(io.BytesIO(data)) as file:
        frames: bytes = file.readframes(file.getnframes())
        return frames


def test_a_recording_is_read_as_it_is_and_deleted_once_and_again(tmp_path: Path) -> None:
    (tmp_path / "job-1.wav").write_bytes(wav())
    assert read(kept(tmp_path), "job-1") == wav()
    delete(kept(tmp_path), "job-1")
    assert not (tmp_path / "job-1.wav").exists()
    delete(kept(tmp_path), "job-1")
    with pytest.raises(RecordingNotFound, match="there is no recording job-1"):
        read(kept(tmp_path), "job-1")


@pytest.mark.parametrize("name", ["../secret", "a/b", "/etc/passwd", "..", "", "a\0b", "a b", "x" * 200])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.wav").write_bytes(wav())
    folder = tmp_path / "recordings"
    folder.mkdir()
    with pytest.raises(Unfit):
        path_of(kept(folder), name)
    with pytest.raises(RecordingNotFound):
        read(kept(folder), name)
    delete(kept(folder), name)
    assert (tmp_path / "secret.wav").exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(wav())
    (tmp_path / "r.wav").symlink_to(tmp_path / "secret")
    with pytest.raises(RecordingNotFound):
        read(kept(tmp_path), "r")
    delete(kept(tmp_path), "r")
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, len(PCM) + 2])
@pytest.mark.parametrize("before", [b"", LIST])
def test_a_recording_of_a_killed_freeswitch_gets_its_true_lengths(length: int, before: bytes) -> None:
    head = wav()[:36]
    broken = head[:4] + struct.pack("<I", length) + head[8:] + before
    mended = whole(broken + b"data" + struct.pack("<I", length) + PCM + b"\1")
    assert samples(mended) == PCM
    assert struct.unpack_from("<I", mended, 4) == (len(mended) - 8,)
    assert whole(mended) == mended


def test_a_wrong_length_of_the_whole_alone_is_put_right() -> None:
    assert whole(wav()[:4] + bytes(4) + wav()[8:]) == wav()


@pytest.mark.parametrize("data", [b"", b"RIFF", b"OggS" + bytes(60), wav()[:36], wav()[:40]])
def test_what_holds_no_samples_is_no_recording(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.wav").write_bytes(data)
    with pytest.raises(RecordingNotFound, match="empty or no WAV file"):
        read(kept(tmp_path), "r")


def test_a_folder_that_may_not_be_used_is_said_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "r.wav").mkdir()
    for act in (read, delete):
        with pytest.raises(PbxUnreachable, match="let the worker's user read and delete there"):
            act(kept(tmp_path), "r")


@pytest.mark.parametrize(
    ("path", "name", "ours"),
    [
        ("/srv/rec/job-1.wav", "job-1", True),
        ("/srv/rec/deep/job-1.wav", "job-1", False),
        ("/elsewhere/job-1.wav", "job-1", False),
        ("/srv/rec/job-1.mp3", "", True),
        ("/srv/rec/.wav", "", True),
        ("", "", False),
    ],
)
def test_a_recordings_name_is_its_files(path: str, name: str, ours: bool) -> None:
    assert name_of(path) == name
    assert is_ours(settings_for("esl://127.0.0.1", recordings_folder="/srv/rec"), path) is ours


@pytest.mark.parametrize("folder", ["", "recordings", "/a/../b", "/a b", "/a;b", "/a\n", "/"])
def test_a_folder_that_is_no_full_path_is_refused(folder: str) -> None:
    with pytest.raises(PbxConfigError, match="recordings will not do"):
        settings_for("esl://127.0.0.1", recordings_folder=folder)


def test_a_file_is_closed_when_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "r.wav").write_bytes(wav())
    before = len(os.listdir("/proc/self/fd"))
    read(kept(tmp_path), "r")
    assert len(os.listdir("/proc/self/fd")) == before
