"""Secrets at rest."""

import base64
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.guard.seal import Seal, SealError, key_beside, parse_key

SEAL = Seal(b"k" * 32)


@given(st.text(min_size=1, max_size=64), st.binary(max_size=200))
def test_what_is_sealed_opens_for_the_same_job_and_key_alone(job: str, secret: bytes) -> None:
    sealed = SEAL.seal(job, secret)
    assert SEAL.open(job, sealed) == secret
    for seal, id in ((SEAL, job + "x"), (Seal(b"K" * 32), job)):
        with pytest.raises(SealError):
            seal.open(id, sealed)


@given(st.binary(max_size=40))
def test_what_was_not_sealed_does_not_open_and_the_error_holds_no_secret(junk: bytes) -> None:
    with pytest.raises(SealError, match="job j") as error:
        SEAL.open("j", junk)
    assert error.value.__cause__ is None


def test_a_changed_byte_anywhere_is_noticed() -> None:
    sealed = SEAL.seal("j", b"493817")
    for n in range(len(sealed)):
        changed = sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
        with pytest.raises(SealError):
            SEAL.open("j", changed)


def test_the_same_text_seals_differently_and_shows_nothing() -> None:
    sealed = {SEAL.seal("j", b"493817") for _ in range(20)}
    assert len(sealed) == 20
    assert all(b"493817" not in each for each in sealed)


def test_a_fingerprint_is_equal_for_equal_content_and_tells_nothing_without_the_key() -> None:
    assert SEAL.fingerprint(b"a") == SEAL.fingerprint(b"a")
    assert SEAL.fingerprint(b"a") != SEAL.fingerprint(b"b")
    assert SEAL.fingerprint(b"a") != Seal(b"K" * 32).fingerprint(b"a")


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 33])
def test_a_key_of_another_length_is_refused_with_the_mend(key: bytes) -> None:
    with pytest.raises(SealError, match="openssl rand -base64 32"):
        Seal(key)


def test_a_key_that_is_no_base64_is_refused_without_being_shown() -> None:
    with pytest.raises(SealError) as error:
        parse_key("hush!hush")
    assert "hush" not in str(error.value)
    assert parse_key(base64.b64encode(b"k" * 32).decode()) == b"k" * 32


def test_nothing_of_the_key_is_shown() -> None:
    assert repr(SEAL) == "Seal(…)"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = key_beside(tmp_path / "l.db")
    assert len(key) == 32
    assert key_beside(tmp_path / "l.db") == key
    (file,) = tmp_path.iterdir()
    assert file.name == "l.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_threads_that_race_for_the_first_key_all_get_the_same(tmp_path: Path) -> None:
    for round in range(20):
        keys: list[bytes] = []
        start = threading.Barrier(6)

        def take(ledger: Path, start: threading.Barrier, keys: list[bytes]) -> None:
            start.wait()
            keys.append(key_beside(ledger))
            ledger.touch()  # as opening the ledger does

        ledger = tmp_path / f"l{round}.db"
        threads = [threading.Thread(target=take, args=(ledger, start, keys)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys) == 6
        assert len(set(keys)) == 1


def test_a_ledger_whose_key_is_missing_is_refused_and_no_new_key_made(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"x")
    with pytest.raises(SealError, match="missing"):
        key_beside(tmp_path / "l.db")
    assert [file.name for file in tmp_path.iterdir()] == ["l.db"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="cannot be made"):
        key_beside(tmp_path / "nowhere" / "l.db")


def test_a_key_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "l.db.key").write_bytes(b"\xff" * 32)
    with pytest.raises(SealError, match="cannot be read"):
        key_beside(tmp_path / "l.db")
