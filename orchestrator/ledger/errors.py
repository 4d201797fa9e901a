"""Errors of the ledger.

LedgerError
├── LedgerUnusable     the file cannot be opened, is no ledger, or another worker has it
└── LedgerClosed       asked after it was closed
"""


class LedgerError(Exception):
    """The ledger cannot do what was asked. The message names the file and the mend."""


class LedgerUnusable(LedgerError):
    """Nothing can be stored there until somebody changes something."""


class LedgerClosed(LedgerError):
    """The ledger was closed before this was asked."""
