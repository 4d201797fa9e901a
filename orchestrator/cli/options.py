"""Options that several commands have, and the configuration that they lead to."""

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.cli.fail import UNUSABLE, Failure
from orchestrator.config import Config, ConfigError, find_config, load_config
from orchestrator.setup import is_shared, ledger_path

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """`-c FILE`, given to the command as `config_file`."""
    return click.option("-c", "--config", "config_file", metavar="FILE", help="The configuration.")(function)


def json_option(function: F) -> F:
    """`--json`, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def read_config(config_file: str | None) -> Config:
    """The configuration that the command is to use.

    Raises `ConfigError`.
    """
    return load_config(find_config(config_file, os.environ))


def read_config_if_any(config_file: str | None) -> Config:
    """As `read_config`, but the defaults where no configuration is named and none is found.

    Raises `ConfigError`.
    """
    try:
        path = find_config(config_file, os.environ)
    except ConfigError:
        return Config()
    return load_config(path)


def check_ledger_exists(config: Config) -> None:
    """For a command that has no use for an empty ledger: see that its file is there. A server is asked later.

    Raises `Failure`.
    """
    path = ledger_path(config)
    if not is_shared(config) and not path.exists():
        raise Failure(f"there is no ledger {path} yet. Submit a job first, or correct ledger.url.", UNUSABLE)


def check_ledger_folder(config: Config) -> None:
    """See that the ledger's file can be made, before anything else is done. A server is asked later.

    Raises `Failure`.
    """
    if is_shared(config):
        return
    folder = ledger_path(config).absolute().parent
    if not folder.is_dir():
        raise Failure(
            f"the ledger's folder {folder} is not there. Make it (mkdir -p {folder}), or correct ledger.url.",
            UNUSABLE,
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Failure(
            f"the ledger's folder {folder} cannot be written to. Give it to this user, or change ledger.url.",
            UNUSABLE,
        )


def print_json(value: Any) -> None:
    """One line of JSON to standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
