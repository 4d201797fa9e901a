"""Errors of the ledger.

LedgerError
├── LedgerUnusable     the file cannot be opened, is no ledger, or another worker has it
│   └── LedgerStuck    it is locked, or the disk is full: another time it can be used
├── LeaseLost          another worker has taken the ledger over
└── LedgerClosed       asked after it was closed
"""


class LedgerError(Exception):
    """The ledger cannot do what was asked. The message names the file and the mend."""


class LedgerUnusable(LedgerError):
    """Nothing can be stored there until somebody changes something."""


class LedgerStuck(LedgerUnusable):
    """Nothing can be stored there now; time or an operator mends it, and no setting is wrong."""


class LeaseLost(LedgerError):
    """Another worker owns the ledger now; this one may change nothing and ask nothing of a PBX any more."""


class LedgerClosed(LedgerError):
    """The ledger was closed before this was asked."""
