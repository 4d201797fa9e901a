"""Keeps the code out of the process list.

Anybody on the machine can read a program's arguments (`ps`, `/proc/PID/cmdline`), so they are overwritten
with masked ones as the first thing this program does. Between its start and that moment they stand there; a
code that must never be seen comes over standard input: `--code-file -`.
"""

from collections.abc import Sequence

MASK = "******"
_SECRET = ("--code", "--var")


def masked(args: Sequence[str]) -> list[str]:
    """The arguments with the values of secret options replaced. A variable keeps its name."""
    shown: list[str] = []
    secret = ""
    for arg in args:
        if secret:
            shown.append(_value(secret, arg))
            secret = ""
        elif arg in _SECRET:
            shown.append(arg)
            secret = arg
        elif arg.startswith(_SECRET) and not arg.startswith("--code-file"):
            option, equals, value = arg.partition("=")
            name = next(known for known in _SECRET if option.startswith(known))
            # `--code493817` is no option, but the code stands there all the same.
            shown.append(f"{name}={_value(name, value)}" if equals else f"{name}{MASK}")
        else:
            shown.append(arg)
    return shown


def hide_secrets(argv: Sequence[str]) -> None:
    """Show the program as `orchestrator …` in the process list, without its secrets."""
    from setproctitle import setproctitle

    setproctitle(" ".join(["orchestrator", *masked(argv[1:])]))


def _value(option: str, value: str) -> str:
    name, equals, _ = value.partition("=")
    return f"{name}={MASK}" if option == "--var" and equals else MASK
