"""Where the program starts. The command line's secrets are masked before anything else is imported."""

import sys


def main() -> None:
    """Run the command line and exit."""
    from orchestrator.cli.mask import hide_secrets

    hide_secrets(sys.argv)
    from orchestrator.cli.group import cli

    cli.main(prog_name="orchestrator")


if __name__ == "__main__":
    main()
