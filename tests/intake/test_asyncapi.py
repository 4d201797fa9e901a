"""The AsyncAPI document: whole, true to the types, and without a password."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from orchestrator.cli.group import cli
from orchestrator.intake.asyncapi import EXAMPLES, NOTIFICATIONS, document
from orchestrator.intake.options import KINDS, Intake
from orchestrator.job import Job
from orchestrator.notify import payload

DOCUMENT = json.loads(msgspec.json.encode(document(EXAMPLES)))


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from refs(member)
    elif isinstance(value, list):
        for member in value:
            yield from refs(member)


def at(pointer: str) -> Any:
    value: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        value = value[part]
    return value


def test_every_reference_leads_somewhere() -> None:
    found = set(refs(DOCUMENT))
    assert len(found) > 40
    for pointer in found:
        assert at(pointer)


def test_jobs_are_received_and_the_rest_is_sent_for_each_kind() -> None:
    actions = {name: each["action"] for name, each in DOCUMENT["operations"].items()}
    assert actions == {
        f"{kind}.{role}": "receive" if role == "jobs" else "send"
        for kind in KINDS
        for role in ("jobs", "dead", "replies")
    }


def test_the_schemas_are_those_of_the_types() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Job"]["properties"].keys() == {field.encode_name for field in msgspec.structs.fields(Job)}
    assert set(NOTIFICATIONS) == set(payload.Notification.__subclasses__())
    for each in NOTIFICATIONS:
        assert schemas[f"event.{each.TYPE}"]["properties"]["type"] == {"const": each.TYPE}


def test_a_password_in_an_address_is_not_told() -> None:
    intake = Intake(name="q", kind="amqp", url="amqps://user:hunter2@broker.example/vhost", jobs="calls.jobs")
    described = document([intake])
    assert "hunter2" not in json.dumps(described)
    assert described["servers"]["q"] == {
        "host": "broker.example:5671",
        "protocol": "amqps",
        "pathname": "/vhost",
    }
    assert [*described["channels"]] == ["q.jobs", "q.dead"]


def test_the_command_prints_what_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "o.toml"
    config.write_text('[[intake]]\nname = "drop"\nkind = "folder"\njobs = "drop"\n')
    done = CliRunner().invoke(cli, ["asyncapi", "-c", str(config)])
    assert done.exit_code == 0, done.output
    assert [*json.loads(done.output)["channels"]] == ["drop.jobs", "drop.dead"]
