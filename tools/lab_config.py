"""After `make lab`: the sounds into the lab, and a configuration for one's own trials. Says what to try."""

import json
import os
import secrets
import sys
from base64 import b64encode
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[0] = str(REPO)

from docker import instance  # noqa: E402 - only now is the repository on the path
from orchestrator.cli.install import install_sounds  # noqa: E402
from orchestrator.pbx.places import FORMATS  # noqa: E402
from orchestrator.prompts import load_library, packaged_root  # noqa: E402

NAME = "lab"
CONFIG = REPO / ".lab" / "orchestrator.toml"


def main() -> None:
    lab = instance.read(NAME)
    if lab is None:
        sys.exit("the lab is not up; mend: make lab")
    install_sounds(load_library([packaged_root()]), Path(lab.sounds) / "orchestrator", FORMATS)
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    text = f"""\
# Made by `make lab`, for the lab on this machine.
[worker]
name = "lab"
[ledger]
url = "sqlite:///ledger.db"
[[pbx]]
name = "lab"
url = {json.dumps(lab.ari_url)}
username = {json.dumps(lab.ari_username)}
password_file = {json.dumps(lab.ari_password_file)}
dial = {json.dumps(lab.dial)}
caller_ids = ["+12025550199"]
[http]
listen = "127.0.0.1:8090"
# Notifications, as soon as you have a receiver:
#[notify]
#url = "http://127.0.0.1:9000/events"
#secret = "{secret}"
"""
    if not CONFIG.exists() or lab.ari_url not in CONFIG.read_text():
        CONFIG.unlink(missing_ok=True)
        with os.fdopen(os.open(CONFIG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
    shown = CONFIG.relative_to(REPO)
    print(
        f"""
The lab is up. Its configuration: {shown}. What it records: {Path(lab.recordings).relative_to(REPO)}

Try:
  echo 493817 | .venv/bin/orchestrator call +12025550100 --code-file - -c {shown}
  .venv/bin/orchestrator doctor -c {shown}
  make lab-down
"""
    )


if __name__ == "__main__":
    main()
