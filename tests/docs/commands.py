"""Finds the commands of `orchestrator` that a page shows, and checks them against the command line."""

from __future__ import annotations

import re
import shlex

import click

from orchestrator.cli.group import cli
from tests.docs.pages import blocks, page

_CALLED = re.compile(r"(?:^|[\s/])orchestrator ([a-z][^|;&`]*)")
_ITS_USER = re.compile(r"-[a-z] orchestrator\b")


def shown_on(name: str) -> list[str]:
    """What follows `orchestrator` in every command on the page, in blocks and in running text."""
    lines: list[str] = []
    for block in blocks(name, "console", "sh"):
        lines += [
            line.partition("  #")[0]
            for line in block.text.splitlines()
            if block.kind == "sh" or line.startswith(("$ ", "> "))
        ]
    lines += re.findall(r"`((?:[\w./-]*/)?orchestrator [a-z][^`]*)`", page(name))
    return [found for line in lines for found in _CALLED.findall(_ITS_USER.sub("", line))]


def fault_of(words: str) -> str | None:
    """Why these words are no command that one could give, or None."""
    command: click.Command = cli
    context = click.Context(cli)
    left = [word for word in shlex.split(words) if not word.startswith(("<", ">"))]
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        found = command.get_command(context, left[0])
        if found is None:
            return f"there is no command {left[0]!r}"
        command, left = found, left[1:]
    if isinstance(command, click.Group) and command is cli:
        return "it names no command"
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = [word for word in left if re.match(r"-{1,2}[a-z]", word) and word.split("=")[0] not in known]
    return f"{command.name} has no {', '.join(unknown)}" if unknown else None
