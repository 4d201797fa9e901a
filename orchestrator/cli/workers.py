"""Whether a worker runs on the ledger."""

from orchestrator.config import Config
from orchestrator.ledger.sqlite import WorkerLock
from orchestrator.setup import ledger_path


def worker_runs(config: Config) -> bool:
    """Whether some process is the ledger's worker now."""
    path = ledger_path(config)
    if not path.with_name(path.name + ".lock").exists():
        return False
    lock = WorkerLock.take(path)
    if lock is not None:
        lock.release()
    return lock is None


def worker_hint(config: Config) -> str:
    """What to say where no worker runs; empty where one does."""
    if worker_runs(config):
        return ""
    return "No worker runs on this ledger: nothing happens until one is started (orchestrator run)."
