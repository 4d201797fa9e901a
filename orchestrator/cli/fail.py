"""Exit codes, and the one sentence that an error becomes.

0 done · 1 the work failed · 2 usage or configuration · 3 a dependency is unreachable.
A ledger that cannot be used is 2: it is a file of this machine, and the configuration names it. One that
cannot be written now (locked, or the disk is full) is 3: another time it can.
"""

from typing import IO, Any

import click

WORK_FAILED = 1
UNUSABLE = 2
UNREACHABLE = 3


class Failure(click.ClickException):
    """What went wrong, with its mend, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """What the program exits with."""
        return self._exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to standard error."""
        click.echo(f"{click.style('orchestrator:', fg='red', bold=True)} {self.message}", file=file, err=True)


def explain(error: BaseException) -> Failure | None:
    """An error of any room as a sentence and an exit code; None for one that is a fault of this program."""
    # Imported here: a command that fails early should not load every room for it.
    from orchestrator.config import ConfigError
    from orchestrator.http.health import ListenError
    from orchestrator.ledger.errors import LeaseLost, LedgerError, LedgerStuck
    from orchestrator.notify.errors import NotifyError
    from orchestrator.pbx.errors import PbxConfigError, PbxError
    from orchestrator.prompts import PromptError
    from orchestrator.validate import Invalid

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case Failure():
            return error
        case Invalid():
            faults = "".join(f"\n  {fault}" for fault in error.faults)
            return Failure(f"the job cannot be taken:{faults}", UNUSABLE)
        case LedgerStuck():
            return Failure(str(error), UNREACHABLE)
        case LeaseLost():
            return Failure(str(error), WORK_FAILED)
        case ConfigError() | PbxConfigError() | ListenError() | LedgerError() | NotifyError() | PromptError():
            return Failure(str(error), UNUSABLE)
        case PbxError():
            return Failure(str(error), UNREACHABLE)
        case _:
            return None
