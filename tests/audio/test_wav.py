"""WAV files: what is written is read back, and anything else is refused with the mend."""

import wave
from pathlib import Path

import pytest

from orchestrator.audio.wav import WavFormatError, WavMissingError, read_wav, seconds, write_wav

PCM = bytes(range(256)) * 125  # 16,000 samples


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", PCM)
    assert read_wav(tmp_path / "a.wav") == PCM


def test_two_bytes_are_one_eight_thousandth_of_a_second() -> None:
    assert seconds(PCM) == 2.0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WavMissingError, match=r"gone\.wav: cannot be opened"):
        read_wav(tmp_path / "gone.wav")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(WavMissingError, match=r"a\.wav: cannot be written"):
        write_wav(tmp_path / "no-folder" / "a.wav", PCM)


def test_half_a_sample_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        write_wav(tmp_path / "a.wav", b"\x00")
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound at all, however long it goes on"])
def test_what_is_no_wav_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(WavFormatError, match="convert it"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize(("rate", "channels", "width"), [(16000, 1, 2), (8000, 2, 2), (8000, 1, 1)])
def test_another_format_is_refused_with_what_was_found(
    tmp_path: Path, rate: int, channels: int, width: int
) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(64))
    with pytest.raises(WavFormatError, match=rf"{rate} Hz, {channels} channel\(s\), {8 * width} bits"):
        read_wav(tmp_path / "a.wav")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", PCM)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-2000])
    with pytest.raises(WavFormatError, match="cut short: 15000 of 16000 samples"):
        read_wav(tmp_path / "a.wav")
