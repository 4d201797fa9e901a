"""Whether a lab's Asterisk answers, and what it said when it does not."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from docker.instance import Lab, LabError, Paths, paths_of

READY_SECONDS = 30.0


def _ask(lab: Lab, path: str, timeout: float = 2.0) -> dict[str, object]:
    password = paths_of(lab.name).password.read_text()
    token = base64.b64encode(f"{lab.ari_username}:{password}".encode()).decode()
    request = urllib.request.Request(f"{lab.ari_url}/{path}", headers={"Authorization": f"Basic {token}"})  # noqa: S310 our own loopback address
    # No proxy of the environment stands between us and the loopback.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=timeout
    ) as answer:
        body: dict[str, object] = json.load(answer)
    return body


def answers(lab: Lab) -> bool:
    try:
        return bool(_ask(lab, "asterisk/info"))
    except OSError:
        return False


def wait_ready(lab: Lab, paths: Paths, is_alive: Callable[[Lab], bool]) -> str:
    """Wait until ARI answers and calls can be made; return Asterisk's version."""
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            info = _ask(lab, "asterisk/info?only=system")
            if _ask(lab, "asterisk/modules/chan_pjsip.so").get("status") == "Running":
                break
        except urllib.error.HTTPError as error:
            if error.code == 401:
                raise LabError(f"something else answers at {lab.ari_url}; mend: --free-ports") from error
        except OSError:
            pass
        if not is_alive(lab):
            raise LabError(f"Asterisk ended while starting.\n{_last_words(paths)}")
        if time.monotonic() > until:
            raise LabError(f"Asterisk is not ready after {READY_SECONDS:.0f} s.\n{_last_words(paths)}")
        time.sleep(0.05)
    system = info["system"]
    return str(system["version"]) if isinstance(system, dict) else ""


def _last_words(paths: Paths) -> str:
    lines: list[str] = []
    for log in (paths.log / "start.log", paths.log / "messages.log"):
        if log.exists():
            lines += log.read_text(errors="replace").splitlines()[-10:]
    return "\n".join([*lines, f"Logs: {paths.log}"])
