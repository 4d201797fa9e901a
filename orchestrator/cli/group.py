"""The commands by name. A command's module is imported when it is called, so that `--help` is at once."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli.fail import explain

EPILOG = """\b
Exit codes: 0 done, 1 the work failed, 2 usage or configuration,
3 a dependency is unreachable. Almost every command has --json.

\b
The configuration: -c FILE, else $ORCHESTRATOR_CONFIG, else
./orchestrator.toml, else /etc/orchestrator/orchestrator.toml.

\b
Shell completion, for one's ~/.bashrc (zsh and fish likewise):
  eval "$(_ORCHESTRATOR_COMPLETE=bash_source orchestrator)"
"""


class LazyGroup(click.Group):
    """A group whose commands are named `module:attribute`, with the line that the list of commands shows."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table below names commands only
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that we know becomes one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failure = explain(error)
            if failure is None:
                raise
            raise failure from None


_COMMANDS = {
    "run": ("orchestrator.cli.run:run", "Run the worker, until SIGTERM drains it."),
    "call": ("orchestrator.cli.call:call", "Ring one phone and watch the call to its verdict."),
    "submit": ("orchestrator.cli.submit:submit", "Take jobs from a file or standard input."),
    "show": ("orchestrator.cli.show:show", "Tell all that is known of a job."),
    "cancel": ("orchestrator.cli.cancel:cancel", "End a job, also in the middle of its call."),
    "recording": ("orchestrator.cli.recording:recording", "Fetch what was recorded of a callback."),
    "deadletters": (
        "orchestrator.cli.deadletters:deadletters",
        "List or replay notifications that were given up.",
    ),
    "keys": ("orchestrator.cli.keys:keys", "Make and revoke the keys of the HTTP API."),
    "render": ("orchestrator.cli.render:render", "See and hear a prompt without a call."),
    "sounds": ("orchestrator.cli.sounds:sounds", "Put the sounds where the PBX reads them."),
    "virtual-pbx": (
        "orchestrator.cli.virtual_pbx:virtual_pbx",
        "Run a PBX for trials: ARI, ESL, and faults at will.",
    ),
    "asyncapi": ("orchestrator.cli.asyncapi:asyncapi", "Print the AsyncAPI document of the queues."),
    "doctor": ("orchestrator.cli.doctor:doctor", "Check everything, and say the mend for each fault."),
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="orchestrator")
def cli() -> None:
    """Outbound voice calls beside Asterisk or FreeSWITCH: codes, notices with keys, callbacks."""
