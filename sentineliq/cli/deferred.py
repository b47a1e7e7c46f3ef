"""Commands that are imported when they are called, so that the command line starts at once."""

import importlib
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


class DeferredCommand(TyperCommand):
    """Stands for a command until it is called.

    Args:
        name: the command's name.
        target: `module:attribute` of its Typer app, below `sentineliq.cli.commands`.
        help: the first sentence of its help.
    """

    def __init__(self, name: str, target: str, help: str) -> None:  # noqa: A002  # Typer's name
        super().__init__(name, help=help, rich_markup_mode=None)
        self.target = target

    def load(self) -> Any:
        """Import the command. Typer's base class of commands and groups is private, hence `Any`."""
        module, _, attribute = self.target.partition(":")
        app = getattr(importlib.import_module(f"sentineliq.cli.commands.{module}"), attribute)
        return typer.main.get_command(app)

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the arguments as the command itself does; from here on only it is used."""
        return self.load().make_context(info_name, args, parent, **extra)


class DeferredGroup(TyperGroup):
    """A group whose commands are deferred; subclasses list them."""

    deferred: tuple[tuple[str, str, str], ...] = ()
    """Name, target and help of each, in the order of the help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, target, text in self.deferred:
            self.add_command(DeferredCommand(name, target, text))
