"""The file of keys."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.guard.keyfile import KeyFile, KeysUnusable, change_keys, read_keys
from orchestrator.guard.keys import ENTROPY, Key, make_key


def a_key(n: int = 0) -> Key:
    return make_key("shop", datetime(2026, 11, 22, tzinfo=UTC), bytes([n]) * ENTROPY)[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, key: Key) -> None:
    change_keys(path, lambda known: (*known, key))


def test_no_file_is_no_keys(path: Path) -> None:
    assert read_keys(path) == ()
    assert KeyFile(path).keys == {}


def test_it_is_its_owners_alone_and_nothing_else_is_left_beside_it(path: Path) -> None:
    add(path, a_key(1))
    add(path, a_key(2))
    assert path.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}
    assert read_keys(path) == (a_key(1), a_key(2))


def test_changes_are_seen_at_once_and_a_file_that_is_gone_holds_no_key(path: Path) -> None:
    kept = KeyFile(path)
    add(path, a_key(1))
    assert set(kept.keys) == {a_key(1).id}
    change_keys(path, lambda known: ())
    assert kept.keys == {}
    add(path, a_key(2))
    assert set(kept.keys) == {a_key(2).id}
    path.unlink()
    assert kept.keys == {}


def test_a_file_that_became_unusable_changes_nothing_but_at_the_start_it_is_an_error(path: Path) -> None:
    add(path, a_key())
    kept = KeyFile(path)
    path.write_text('{"version": 1, "keys": [{}]}')
    assert set(kept.keys) == {a_key().id}
    with pytest.raises(KeysUnusable, match="no file of keys"):
        KeyFile(path)
    with pytest.raises(KeysUnusable):
        add(path, a_key(1))


def test_what_fails_leaves_the_file_as_it_was(path: Path) -> None:
    add(path, a_key())
    before = path.read_bytes()

    def broken(known: tuple[Key, ...]) -> tuple[Key, ...]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        change_keys(path, broken)
    assert path.read_bytes() == before


def test_of_many_who_add_at_once_none_loses_a_key(path: Path) -> None:
    threads = [threading.Thread(target=add, args=(path, a_key(n))) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.id for key in read_keys(path)} == {a_key(n).id for n in range(16)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_root_changes_stays_its_owners(path: Path) -> None:
    add(path, a_key(1))
    os.chown(path, 12345, 12345)
    add(path, a_key(2))
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="cannot be written"):
        add(tmp_path / "none" / "keys.json", a_key())


@pytest.mark.parametrize(
    "content",
    [
        b'{"version":1,"keys":[{"id":"\xff"}]}',
        b'{"version":1,"keys":' + b"[" * 5000,
        b'{"version":2,"keys":[]}',
    ],
)
def test_whatever_the_file_holds_it_is_told_and_the_former_keys_stay(path: Path, content: bytes) -> None:
    add(path, key := a_key())
    file = KeyFile(path)
    path.write_bytes(content)
    with capture_logs() as logs:
        assert set(file.keys) == {key.id}
    assert [log["event"] for log in logs] == ["http_keys_unusable"]
    with pytest.raises(KeysUnusable, match="is no file of keys"):
        read_keys(path)
