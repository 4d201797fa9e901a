"""The section `[[intake]]`: every fault is told, and no password shown."""

from pathlib import Path

import pytest

from orchestrator.config import ConfigError, load_config
from orchestrator.intake.options import Intake, faults_of_intakes
from orchestrator.intake.source import reason_of

REDIS = 'name = "q"\nkind = "redis"\njobs = "calls:jobs"\n'


def load(tmp_path: Path, text: str, **environ: str) -> str:
    """The configuration's faults."""
    path = tmp_path / "o.toml"
    path.write_text(text)
    try:
        load_config(path, environ)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "http://127.0.0.1"}, "intake[0].url"),
        ({"url": None}, "intake[0].url"),
        ({"dead": "calls"}, "intake[0].dead"),
        ({"kind": "nats", "url": "nats://127.0.0.1", "jobs": "calls.>"}, "intake[0].jobs"),
        ({"kind": "folder", "url": None, "replies": "../out"}, "intake[0].replies"),
        ({"kind": "folder", "url": None, "dead": "incoming"}, "intake[0].dead"),
        ({"kind": "folder"}, "intake[0].url"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, str | None], path: str) -> None:
    fields = {"name": "q", "kind": "redis", "url": "redis://127.0.0.1", "jobs": "calls"} | changes
    assert path in {fault.path for fault in faults_of_intakes([Intake(**fields)], None)}  # type: ignore[arg-type]


def test_two_intakes_have_two_names(tmp_path: Path) -> None:
    section = f'[[intake]]\n{REDIS}url = "redis://127.0.0.1"\n'
    assert "`q` is taken" in load(tmp_path, section * 2)
    assert load(tmp_path, section) == ""


def test_the_address_may_come_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://user:hunter2@broker\n")
    told = load(tmp_path, f'[[intake]]\n{REDIS}url_file = "url"\n')
    assert "intake[0].url" in told
    assert "hunter2" not in told + repr(Intake(name="q", kind="redis", url="redis://:hunter2@h", jobs="j"))


def test_notifications_may_go_to_an_intake_that_has_a_place_for_them(tmp_path: Path) -> None:
    section = f'[[intake]]\n{REDIS}url = "redis://127.0.0.1"\n'
    default = '[notify]\nurl = "intake:q"\n'
    assert "notify.url" in load(tmp_path, default + section)
    assert load(tmp_path, default + section + 'replies = "calls:events"\n') == ""


def test_what_a_library_says_of_a_connection_is_told_without_the_password() -> None:
    url = "redis://user:hunter2@127.0.0.1:1/0"
    told = reason_of(ConnectionError(f"cannot reach {url}, user:hunter2@127.0.0.1:1, hunter2"), url)
    assert "hunter2" not in told
    assert told.startswith("ConnectionError: cannot reach ***")
