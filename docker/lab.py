"""The lab's command line: a real Asterisk on this machine, from Docker or from Debian's package.

`python3 docker/lab.py up` with any Python 3.11 or later, nothing else installed. Progress goes to standard
error, results as JSON to standard output. Exit codes: 0 done, 1 failed, 2 usage, 3 a need is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from pathlib import Path
from types import FrameType

if __package__ in (None, ""):  # run as a script: only docker/ is on the path, and its modules are a package
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from docker import doctor, instance, life


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab.py", description="A real Asterisk on this machine, for trials and tests."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument(
            "--name", default="lab", help="which lab, where several run side by side (default: lab)"
        )
        return made

    up = command("up", "bring the lab up, and print what a client needs to know as JSON")
    up.add_argument("--mode", choices=life.MODES, default="auto")
    for flag, meaning in PORT_FLAGS.items():
        up.add_argument(f"--{flag}", type=int, metavar="N", help=meaning)
    up.add_argument("--free-ports", action="store_true", help="choose ports that nobody uses")
    up.add_argument(
        "--free-if-taken", action="store_true", help="so, but only when those it would have are in use"
    )
    down = command("down", "take the lab down; recordings and sounds stay")
    down.add_argument("--purge", action="store_true", help="remove recordings and sounds as well")
    command("status", "print every lab known here as JSON lines")
    for name in ("doctor", "check"):
        command(name, "say what is possible here, what is missing, and the mend")
    cli = command("cli", "run a command of Asterisk's command line, such as: cli -- core show channels")
    cli.add_argument("words", nargs="+")
    command("restart", "end Asterisk and start it again with the same ports and password")
    command("start", "start a lab again that has ended or was killed")
    command("kill9", "kill Asterisk at once, as a crash would")
    command("stop", "freeze Asterisk (SIGSTOP)")
    command("cont", "let a frozen Asterisk go on (SIGCONT)")
    return parser


PORT_FLAGS = {
    "ari-port": "TCP port of ARI",
    "sip-port": "UDP port of SIP",
    "rtp-start": "first RTP port",
    "rtp-end": "last RTP port",
    "sipp-port": "UDP port where SIPp is expected",
}


def _ports(arguments: argparse.Namespace) -> instance.Ports | None:
    names = {
        "ari-port": "ari",
        "sip-port": "sip",
        "rtp-start": "rtp_start",
        "rtp-end": "rtp_end",
        "sipp-port": "sipp",
    }
    given = {field: getattr(arguments, flag.replace("-", "_")) for flag, field in names.items()}
    given = {field: value for field, value in given.items() if value is not None}
    if not given:
        return None
    if arguments.free_ports or arguments.free_if_taken:
        raise instance.LabError("--free-ports or --free-if-taken and given ports exclude each other", 2)
    if any(not 1024 <= value <= 65535 for value in given.values()):
        raise instance.LabError("ports are 1024-65535", 2)
    return dataclasses.replace(instance.Ports(), **given)


def _print(lab: instance.Lab) -> None:
    print(json.dumps(dataclasses.asdict(lab)))


def _run(arguments: argparse.Namespace) -> int:
    name: str = arguments.name
    match arguments.command:
        case "up":
            _print(
                life.up(
                    name, arguments.mode, _ports(arguments), arguments.free_ports, arguments.free_if_taken
                )
            )
        case "down":
            found = life.down(name, arguments.purge)
            instance.say(f"Lab {name} is down." if found else f"Lab {name} was not up.")
        case "status":
            for lab in instance.all_labs():
                print(json.dumps(dataclasses.asdict(lab) | {"alive": life.is_alive(lab)}))
        case "doctor" | "check":
            return doctor.report()
        case "cli":
            done = life.cli(name, " ".join(arguments.words))
            print(done.stdout or done.stderr, end="")
            return done.returncode
        case "restart":
            _print(life.restart(name))
        case "start":
            _print(life.start_again(name))
        case "kill9":
            life.kill9(name)
        case "stop":
            life.freeze(name)
        case "cont":
            life.thaw(name)
    return 0


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    # SIGTERM and SIGHUP unwind like Ctrl-C, so that a start under way is cleared up.
    raise KeyboardInterrupt(signum)


def main(argv: list[str] | None = None) -> int:
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, _interrupt)
    try:
        return _run(_parser().parse_args(argv))
    except instance.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.exit_code
    except PermissionError as error:
        print(f"lab: {error}; mend: run it as the user who owns {instance.HOME}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; what was being started is stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
