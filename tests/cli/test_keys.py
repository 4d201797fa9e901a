"""`orchestrator keys`, in a folder of an operator."""

import json

import pytest

from orchestrator.guard.keyfile import read_keys
from tests.cli.conftest import Desk


@pytest.fixture
def keyed(desk: Desk) -> Desk:
    desk.add('[http]\nlisten = "0.0.0.0:8090"\nkeys = "keys.json"\n')
    return desk


def test_a_key_is_printed_once_and_stored_hashed(keyed: Desk) -> None:
    made = keyed.run("keys", "add", "shop")
    assert made.exit_code == 0
    text = made.stdout.strip()
    assert text.startswith("ork_")
    stored = (keyed.folder / "keys.json").read_text()
    assert text.rpartition("_")[2] not in stored + made.stderr + keyed.run("keys", "list").output


def test_limits_are_stored_and_listed(keyed: Desk) -> None:
    limits = (
        "--kinds=code,notice", "--caller-id=+12025550199", "--template=code", "--to-prefix=+1",
        "--to-prefix=+44", "--rate=120/min", "--concurrent=4", "--expires=90d", "--calls=12",
    )  # fmt: skip
    made = json.loads(keyed.run("keys", "add", "shop", *limits, "--json").stdout)
    (key,) = read_keys(keyed.folder / "keys.json")
    assert (key.rate, key.concurrent, key.calls, key.to_prefixes) == (2.0, 4, 12, ("+1", "+44"))
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 90
    assert made["id"] == key.id
    line = keyed.run("keys", "list").stdout
    for part in (
        key.id,
        "shop",
        "kinds code notice",
        "from +12025550199",
        "to +1 +44",
        "2/s",
        "4 at once",
        "12 calls",
    ):
        assert part in line
    listed = json.loads(keyed.run("keys", "list", "--json").stdout)
    assert listed["kinds"] == ["code", "notice"]
    assert "sha256" not in listed
    assert "key" not in listed


def test_a_key_is_revoked_and_the_others_stay(keyed: Desk) -> None:
    first = json.loads(keyed.run("keys", "add", "shop", "--json").stdout)["id"]
    second = json.loads(keyed.run("keys", "add", "shop", "--json").stdout)["id"]
    assert keyed.run("keys", "revoke", first).stdout == "1 key revoked.\n"
    assert [key.id for key in read_keys(keyed.folder / "keys.json")] == [second]
    again = keyed.run("keys", "revoke", second, first)
    assert again.exit_code == 1
    assert "nothing was changed" in again.stderr
    assert [key.id for key in read_keys(keyed.folder / "keys.json")] == [second]


@pytest.mark.parametrize(
    "limit",
    [
        "--kinds=fax",
        "--caller-id=1",
        "--rate=fast",
        "--rate=0/s",
        "--calls=0",
        "--expires=soon",
        "--expires=2020-01-01T00:00:00Z",
    ],
)
def test_a_limit_that_makes_no_sense_makes_no_key(keyed: Desk, limit: str) -> None:
    assert keyed.run("keys", "add", "shop", limit).exit_code == 2
    assert not (keyed.folder / "keys.json").exists()


def test_where_no_file_is_configured_the_mend_is_told(desk: Desk) -> None:
    told = desk.run("keys", "add", "shop")
    assert told.exit_code == 2
    assert 'keys = "keys.json"' in told.stderr


def test_none_are_listed_as_such(keyed: Desk) -> None:
    assert "keys add NAME" in keyed.run("keys", "list").stdout
