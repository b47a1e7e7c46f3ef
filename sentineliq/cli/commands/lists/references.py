"""How the commands of lists name a list and a value."""

from typing import Annotated

import typer

from sentineliq.cli.context import CommandContext

ListReference = Annotated[str, typer.Argument(metavar="LIST", help="The list's name or id.")]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="An observable, defanged or not.")]


def list_id(context: CommandContext, reference: str) -> str:
    """The id of the list with a name or id.

    Raises:
        NotFound: there is none.
    """
    return context.client.resolve("observables", "/v1/lists", reference).id
