"""The doctor looks at the queues: there, missing, refused, and nothing is made."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.intake_checks import check_intake
from orchestrator.config import Config
from orchestrator.intake.options import Intake
from tests.intake.servers import missing, serving

PASSWORD = "p@ss-word"


def intake(**fields: Any) -> Intake:
    return Intake(**{"name": "q", "jobs": "jobs", "replies": "events", **fields})


@pytest.mark.parametrize("kind", ["redis", "amqp", "nats"])
async def test_a_server_that_is_not_there_is_a_fault_of_code_3_and_shows_no_password(
    kind: Any, closed_port: int
) -> None:
    url = f"{kind}://user:p%40ss-word@127.0.0.1:{closed_port}/"
    (row,) = await check_intake(intake(kind=kind, url=url), Config())
    assert (row.level, row.exit_code, row.what) == ("fail", 3, "intake q")
    assert f"127.0.0.1:{closed_port}" in row.said
    assert "refused" in row.said or "connect" in row.said.lower()
    assert "ss-word" not in row.said + row.mend


async def test_a_missing_library_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "orchestrator.intake.amqp", None)
    (row,) = await check_intake(intake(kind="amqp", url="amqp://127.0.0.1:1/"), Config())
    assert (row.level, row.mend) == ("fail", "pip install 'call-orchestrator[amqp]'")


def look(root: Path) -> Intake:
    return intake(kind="folder", jobs=str(root))


async def test_a_folder_is_looked_at_and_not_made(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    (row,) = await check_intake(look(root), Config())
    assert (row.level, root.exists()) == ("ok", False)
    for name in ("incoming", "taking", "done", "failed", "events"):
        (root / name).mkdir(parents=True)
    (row,) = await check_intake(look(root), Config())
    assert row.said == f"{root} can be read and written to"
    (root / "incoming").chmod(0o777)
    (row,) = await check_intake(look(root), Config())
    assert (row.level, row.mend) == ("fail", f"chmod o-w {root / 'incoming'}")
    (root / "incoming").rmdir()
    (root / "incoming").write_text("")
    (row,) = await check_intake(look(root), Config())
    assert "is no folder" in row.said


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_what_a_server_has_is_told_and_what_it_lacks_is_not_made(kind: Any, tmp_path: Path) -> None:
    if program := missing(kind):
        pytest.skip(f"needs {program}")
    with serving(kind, tmp_path / "server") as server:
        asked = intake(kind=kind, url=server.url)
        for _ in range(2):
            rows = await check_intake(asked, Config())
            assert [row.level for row in rows] == ["ok"] * 4
            assert "answers" in rows[0].said
            assert all("is made at the first start" in row.said for row in rows[1:])


async def test_a_key_that_is_no_stream_and_a_wrong_password_are_faults(tmp_path: Path) -> None:
    if program := missing("redis"):
        pytest.skip(f"needs {program}")
    from redis.asyncio import Redis

    with serving("redis", tmp_path / "server") as server:
        client = Redis.from_url(server.url)
        await client.set("jobs", "no stream")
        rows = await check_intake(intake(kind="redis", url=server.url), Config())
        assert [row.level for row in rows] == ["ok", "fail", "ok", "ok"]
        await client.config_set("requirepass", PASSWORD)
        for given in ("", ":wrong-word@"):
            url = server.url.replace("://", f"://{given}")
            (row,) = await check_intake(intake(kind="redis", url=url), Config())
            assert (row.level, row.exit_code) == ("fail", 2)
            assert "wrong-word" not in row.said
        await client.aclose()
