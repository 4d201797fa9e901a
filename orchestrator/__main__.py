"""`python -m orchestrator` is the command `orchestrator`."""

from orchestrator.cli.entry import main

main()
