"""The shared ledger: PostgreSQL, for any number of workers."""
