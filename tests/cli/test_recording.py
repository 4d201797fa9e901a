"""A recording that was fetched is its owner's."""

from pathlib import Path

from orchestrator.cli.recording import write_private


def test_nobody_else_reads_what_two_people_said(tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    write_private(file, b"RIFF")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"RIFF", 0o600)


def test_a_file_that_was_shared_before_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(b"an older and longer one")
    file.chmod(0o640)
    write_private(file, b"RIFF")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"RIFF", 0o640)
