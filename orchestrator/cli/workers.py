"""What to say where no worker runs on the ledger."""

from orchestrator.config import Config
from orchestrator.ledgers import worker_runs


def worker_hint(config: Config) -> str:
    """What to say where no worker runs; empty where one does."""
    if worker_runs(config):
        return ""
    return "No worker runs on this ledger: nothing happens until one is started (orchestrator run)."
