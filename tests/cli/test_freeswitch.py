"""What the command line asks of a FreeSWITCH node, and the mend that it says for each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.checks import Row
from orchestrator.cli.fail import UNREACHABLE, UNUSABLE, Failure
from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.cli.probe import check_nodes
from orchestrator.config import Config, Pbx
from orchestrator.prompts import Library, load_library
from tests.pbx.esl.fake_esl import PASSWORD, FakeEsl, Script, answering, obliging, serving

GATEWAY = "sofia/gateway/carrier/{number}"


@pytest.fixture
def small(library: Path) -> Library:
    return load_library([library], [])


def node(fake: FakeEsl, **changes: Any) -> Pbx:
    fields: dict[str, Any] = {
        "name": "fs1",
        "kind": "freeswitch",
        "url": fake.url,
        "password": PASSWORD,
        "dial": GATEWAY,
        "caller_ids": ("+12025550199",),
        "request_timeout": 1.0,
    }
    return Pbx(**(fields | changes))


async def rows_of(fake: FakeEsl, library: Library | None = None, **changes: Any) -> list[Row]:
    async with serving(fake):
        return await check_pbx(node(fake, **changes), library, worker_runs=False)


async def test_a_node_without_fault_says_what_it_is(small: Library) -> None:
    fake = FakeEsl()
    rows = await rows_of(fake, small)
    assert {row.level for row in rows} == {"ok"}
    assert [row.said for row in rows] == [
        f"FreeSWITCH 1.10.12 at {fake.url}",
        "mod_dptools, mod_sndfile, mod_sofia are loaded",
        f"all {len(small.sounds)} sounds are there",
        "gateway carrier is up",
    ]
    assert fake.lines("originate") == []


@pytest.mark.parametrize(
    ("script", "changes", "level", "said", "mend"),
    [
        (answering(module_exists="false"), {}, "fail", "mod_sndfile", "modules.conf.xml"),
        (answering(module_exists="false"), {}, "warn", "hears no ringing tone", "modules.conf.xml"),
        (answering(file_exists="false"), {}, "fail", "sounds are missing", "orchestrator sounds install"),
        (answering(sofia="Invalid Gateway!\n"), {}, "fail", "no gateway carrier", "sofia.conf.xml"),
        (answering(sofia="Status  \tDOWN\n"), {}, "warn", "gateway carrier is not up", "sofia status"),
        (
            answering(sofia="Invalid Profile!\n"),
            {"dial": "sofia/lab/{number}@127.0.0.1"},
            "fail",
            "no profile lab",
            "sofia.conf.xml",
        ),
        (obliging, {"dial": "sofia/lab/{number}@127.0.0.1"}, "ok", "profile lab is there", ""),
        (obliging, {"max_cps": 30.0}, "warn", "throttles at 30 calls a second", "sessions-per-second"),
        (obliging, {"max_calls": 2000}, "warn", "takes 1000 calls", "max-sessions"),
        (answering(fsctl="+OK log level: DEBUG [7]\n"), {}, "warn", "log is at debug", "loglevel notice"),
        (answering(fsctl="+OK log level: INFO [6]\n"), {}, "warn", "log is at info", "loglevel notice"),
        (answering(event="-ERR permission denied"), {}, "fail", "gives no events", ""),
        (obliging, {"caller_ids": ()}, "warn", "no caller_ids", "list those"),
        (obliging, {"dial": "sofia/{number} x"}, "fail", "dial will not do", ""),
    ],
)
async def test_each_fault_is_told_with_its_mend(
    small: Library, script: Script, changes: dict[str, Any], level: str, said: str, mend: str
) -> None:
    rows = await rows_of(FakeEsl(script), small, **changes)
    assert [row for row in rows if row.level == level and said in row.said and mend in row.mend], rows


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_folder_of_recordings_that_cannot_be_used_is_worth_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    # As root every folder can be used, so the answer is given here.
    monkeypatch.setattr("os.access", lambda path, mode: allowed)
    rows = await rows_of(FakeEsl(), recordings=str(tmp_path))
    assert any("cannot be read and deleted" in row.said for row in rows) is not allowed


async def test_everybodys_password_is_worth_a_warning() -> None:
    rows = await rows_of(FakeEsl(password="ClueCon"), password="ClueCon")
    assert "everybody knows" in " ".join(row.said for row in rows if row.level == "warn")


async def test_a_wrong_password_is_a_fault_of_code_2_and_nobody_there_one_of_code_3() -> None:
    (wrong,) = await rows_of(FakeEsl(password="another"))
    assert (wrong.level, wrong.exit_code, wrong.mend) == ("fail", 2, "compare with event_socket.conf.xml")
    fake = FakeEsl()
    async with serving(fake):
        pass
    (nobody,) = await check_pbx(node(fake), None, worker_runs=False)
    assert (nobody.level, nobody.exit_code) == ("fail", 3)
    assert "Is FreeSWITCH running there" in nobody.said


async def test_a_node_that_stops_answering_is_a_fault_of_code_3() -> None:
    rows = await rows_of(FakeEsl(answering(status=None)))
    assert (rows[-1].level, rows[-1].exit_code) == ("fail", 3)


async def test_before_a_call_the_node_and_its_sounds_are_looked_at(small: Library) -> None:
    fake = FakeEsl()
    async with serving(fake):
        await check_nodes(Config(pbx=(node(fake),)), small)
        fake.script = answering(file_exists="false")
        with pytest.raises(Failure, match="orchestrator sounds install") as missing:
            await check_nodes(Config(pbx=(node(fake),)), small)
        with pytest.raises(Failure, match="wrong ESL password") as refused:
            await check_nodes(Config(pbx=(node(fake, password="another"),)), small)
    with pytest.raises(Failure, match="Is FreeSWITCH running there") as nobody:
        await check_nodes(Config(pbx=(node(fake),)), small)
    codes = [each.value.exit_code for each in (missing, refused, nobody)]
    assert codes == [UNUSABLE, UNUSABLE, UNREACHABLE]
