"""`orchestrator asyncapi`: the document that describes the queues."""

import click
import msgspec

from orchestrator.cli.options import config_option, read_config_if_any
from orchestrator.intake.asyncapi import EXAMPLES, document


@click.command()
@config_option
def asyncapi(config_file: str | None) -> None:
    """Print the AsyncAPI 3 document of the intakes.

    It describes the [[intake]] sections of the configuration; where there is none, one intake of each kind.
    """
    intakes = read_config_if_any(config_file).intake or EXAMPLES
    click.echo(msgspec.json.format(msgspec.json.encode(document(intakes)), indent=2).decode())
