"""`orchestrator keys`: who may use the HTTP API."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from orchestrator.cli.fail import UNUSABLE, WORK_FAILED, Failure
from orchestrator.cli.options import config_option, json_option, print_json, read_config
from orchestrator.guard.keyfile import KeysUnusable, change_keys, read_keys
from orchestrator.guard.keys import ENTROPY, Key, make_key

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/(s|min|h))?")
_EVERY = {None: 1, "s": 1, "min": 60, "h": 3600}
_DAYS = re.compile(r"([0-9]{1,5})d")


@click.group()
def keys() -> None:
    """Keys of the HTTP API, in the file that `http.keys` names. A running worker heeds them at once."""


@keys.command("add")
@click.argument("name")
@click.option("--kinds", metavar="KIND,…", help="Only jobs of these kinds: code, notice, callback.")
@click.option(
    "--caller-id", "caller_ids", multiple=True, metavar="+E164", help="Only this caller ID. Again for more."
)
@click.option("--template", "templates", multiple=True, help="Only this template. Again for more.")
@click.option(
    "--to-prefix",
    "to_prefixes",
    multiple=True,
    metavar="+N",
    help="Only numbers that begin so. Again for more.",
)
@click.option("--rate", metavar="N/s", help="Requests a second; also N/min and N/h.")
@click.option("--concurrent", type=click.IntRange(1), metavar="N", help="Requests at the same time.")
@click.option(
    "--calls",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Jobs wait while the application has N calls, instead of limits.application_calls.",
)
@click.option("--expires", metavar="WHEN", help="A number of days such as 90d, or an RFC 3339 time.")
@config_option
@json_option
def add(
    name: str,
    config_file: str | None,
    as_json: bool,
    kinds: str | None,
    rate: str | None,
    expires: str | None,
    **limits: Any,
) -> None:
    """Make a key for the application NAME, and print it. It is shown this once and stored hashed.

    An application may have several keys: add the new one, change over, revoke the old one.
    """
    path = _path(config_file)
    now = datetime.now(UTC).replace(microsecond=0)
    may = {field: value for field, value in limits.items() if value}
    if kinds is not None:
        may["kinds"] = [kind.strip() for kind in kinds.split(",")]
    if rate is not None:
        may["rate"] = _rate(rate)
    if expires is not None:
        may["expires_at"] = _expiry(expires, now)
    try:
        key, text = make_key(name, now, os.urandom(ENTROPY), **may)
    except msgspec.ValidationError as fault:
        raise Failure(f"the key cannot be made: {fault}.", UNUSABLE) from None
    _change(path, lambda known: (*known, key))
    if as_json:
        print_json({"key": text, **_fields(key)})
        return
    click.echo(text)
    click.echo(f"Key {key.id} of {name}: shown this once, so keep it safe.", err=True)


@keys.command("list")
@config_option
@json_option
def list_(config_file: str | None, as_json: bool) -> None:
    """List the keys, without their secrets."""
    found = _read(_path(config_file))
    now = datetime.now(UTC)
    for key in found:
        if as_json:
            print_json(_fields(key))
            continue
        click.echo(f"{key.id}  {key.application}  since {key.created_at:%Y-%m-%d}{_limits(key, now)}")
    if not found and not as_json:
        click.echo("There are none. Make one with: orchestrator keys add NAME")


@keys.command("revoke")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@config_option
@json_option
def revoke(ids: Sequence[str], config_file: str | None, as_json: bool) -> None:
    """Take keys away by their IDs, as `keys list` shows them. Exits 1 when one is not there."""

    def without(known: tuple[Key, ...]) -> tuple[Key, ...]:
        missing = [id_ for id_ in ids if id_ not in {key.id for key in known}]
        if missing:
            raise Failure(
                f"there is no key {missing[0]}; nothing was changed. See: orchestrator keys list", WORK_FAILED
            )
        return tuple(key for key in known if key.id not in ids)

    _change(_path(config_file), without)
    if as_json:
        print_json({"revoked": list(ids)})
    else:
        click.echo(f"{len(ids)} {'key' if len(ids) == 1 else 'keys'} revoked.")


def _path(config_file: str | None) -> Path:
    config = read_config(config_file)
    if config.http is None or config.http.keys is None:
        raise Failure('no file for keys is configured: write keys = "keys.json" under [http].', UNUSABLE)
    return config.path(config.http.keys)


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return read_keys(path)
    except KeysUnusable as fault:
        raise Failure(str(fault), UNUSABLE) from None


def _change(path: Path, change: Any) -> None:
    try:
        change_keys(path, change)
    except KeysUnusable as fault:
        raise Failure(str(fault), UNUSABLE) from None


def _rate(text: str) -> float:
    form = _RATE.fullmatch(text)
    if form is None:
        raise click.BadParameter("write it as 10/s, 100/min or 1000/h.", param_hint="--rate")
    return float(form[1]) / _EVERY[form[2]]


def _expiry(text: str, now: datetime) -> datetime:
    days = _DAYS.fullmatch(text)
    if days is not None:
        return now + timedelta(days=int(days[1]))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter("write it as 90d or 2027-01-31T00:00:00Z.", param_hint="--expires")
    if at <= now:
        raise click.BadParameter("that time is over.", param_hint="--expires")
    return at


def _fields(key: Key) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(key)
    fields.pop("sha256")
    return fields


def _limits(key: Key, now: datetime) -> str:
    said = []
    if key.expires_at is not None:
        word = "expired" if key.expires_at <= now else "expires"
        said.append(f"{word} {key.expires_at:%Y-%m-%d %H:%M}")
    for name, allowed in (
        ("kinds", key.kinds), ("from", key.caller_ids), ("templates", key.templates), ("to", key.to_prefixes),
    ):  # fmt: skip
        if allowed:
            said.append(f"{name} {' '.join(str(each) for each in allowed)}")
    if key.rate is not None:
        said.append(f"{key.rate:g}/s")
    if key.concurrent is not None:
        said.append(f"{key.concurrent} at once")
    if key.calls is not None:
        said.append(f"{key.calls} {'call' if key.calls == 1 else 'calls'}")
    return "".join(f", {each}" for each in said)
