"""The context of a command: its installation, its tenant, and the form of its answer."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
import typer.main
from rich.console import RenderableType
from typer.core import TyperCommand

from sentineliq.cli import output
from sentineliq.cli.client.api import Client
from sentineliq.cli.stored_login import login_environment
from sentineliq.local.environment import stored_environment
from sentineliq.local.errors import StackError
from shared.errors import SentinelIQError
from shared.service_names import SERVICES

if TYPE_CHECKING:
    from shared.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="SENTINELIQ_DATA_DIR", help="The installation's data folder.", show_default=True
    ),
]
Tenant = Annotated[
    str, typer.Option(envvar="SENTINELIQ_TENANT", help="The tenant whose data you work on.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

DEFAULT_DATA_DIR: Final = Path(".sentineliq")
DEFAULT_TENANT: Final = "default"
SESSION_PREFIX: Final = "siqs_"
"""What the token of a session begins with that `sentineliq login` has begun."""
UNFINISHED: Final = 3
"""The exit code of a command whose work goes on, or is tried again."""


@dataclass
class CommandContext:
    """One call of the command line.

    Attributes:
        data_dir: where `environment.json` of the running, or last, stack is.
        tenant: whose data the command works on.
        as_json: whether a program reads the answer.
    """

    data_dir: Path = DEFAULT_DATA_DIR
    tenant: str = DEFAULT_TENANT
    as_json: bool = False

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The addresses and secrets that the stack stored; the process's environment wins.

        In between stands the session of a person who has signed in with `sentineliq login`.

        Raises:
            StackError: none of them says it.
        """
        addresses = {f"SENTINELIQ_{name.upper()}_URL" for name in SERVICES}
        has_key = bool(os.environ.keys() & {"SENTINELIQ_TOKEN", "SENTINELIQ_SECRET_KEY"})
        is_elsewhere = has_key and bool(addresses & os.environ.keys())
        if is_elsewhere:
            return dict(os.environ)
        login = login_environment()
        try:
            stored = stored_environment(self.data_dir)
        except StackError:
            if not login:
                raise
            stored = {}
        return {**stored, **login, **os.environ}

    @cached_property
    def client(self) -> Client:
        """The services' APIs for this tenant."""
        token = self.environment.get("SENTINELIQ_TOKEN", "")
        names_tenant = token.startswith(SESSION_PREFIX) and self.tenant != DEFAULT_TENANT
        return Client(self.environment, self.tenant, names_tenant=names_tenant)

    @cached_property
    def settings(self) -> "Settings":
        """The installation's settings, for commands that use Kafka or PostgreSQL directly."""
        from shared.settings import Settings  # noqa: PLC0415  # most commands need none

        plain_names = {
            name.removeprefix("SENTINELIQ_").lower(): value
            for name, value in self.environment.items()
        }
        fields = {
            name: value for name, value in plain_names.items() if name in Settings.model_fields
        }
        return Settings.model_validate({"data_dir": self.data_dir, **fields})

    def answer(self, data: Any, *blocks: RenderableType) -> None:
        """Print the result: `data` for programs, `blocks` for people."""
        if self.as_json:
            output.print_json(data)
        else:
            output.show(*blocks)

    def close(self) -> None:
        """Close the connections."""
        if "client" in self.__dict__:
            self.client.close()


class Context(typer.Context):
    """Typer's context as commands take it."""

    obj: CommandContext


class ReportingCommand(TyperCommand):
    """A command whose expected errors become one line on stderr and exit code 1.

    The types of Typer's contexts and parameters are private to it, hence `Any`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with reported_errors():
            return super().invoke(ctx)


class InstallationCommand(ReportingCommand):
    """A command with the options that all commands share; `ctx.obj` is its `CommandContext`."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_shared_options()], **settings)

    def invoke(self, ctx: Any) -> Any:
        """Run the command with its context, which is closed at the end."""
        shared = {option.name: ctx.params.pop(option.name) for option in _shared_options()}
        ctx.obj = CommandContext(**shared)
        ctx.call_on_close(ctx.obj.close)
        return super().invoke(ctx)


class CommandGroup(typer.Typer):
    """A group of commands, or, with one command and no help, that command alone.

    Args:
        help: the group's help; its first sentence stands in the list of commands.
    """

    def __init__(self, help: str | None = None) -> None:  # noqa: A002  # Typer's name
        super().__init__(
            help=help,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
        if help is not None:
            # Without a callback Typer makes a group of one command that command alone.
            self.callback()(_group_callback)

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any
    ) -> Callable[[Function], Function]:
        """Register a function as a command."""
        return super().command(name, cls=cls or InstallationCommand, **settings)


def _group_callback() -> None:
    """Groups have no options of their own."""


@cache
def _shared_options() -> list[Any]:
    """The options as Typer makes them of a function's parameters."""

    def declare(
        *,
        data_dir: DataDir = DEFAULT_DATA_DIR,
        tenant: Tenant = DEFAULT_TENANT,
        as_json: AsJson = False,
    ) -> None:
        """Declare what `CommandContext` is made of."""

    app = typer.Typer(add_completion=False)
    app.command()(declare)
    return typer.main.get_command(app).params


@contextmanager
def reported_errors() -> Iterator[None]:
    """Report every expected error as one line on stderr, and exit with code 1."""
    try:
        yield
    except ValueError as error:
        # Of the settings alone: pydantic, whose error this is, takes long to import.
        if not hasattr(error, "errors"):
            raise
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        ]
        output.exit_with_error(f"the settings are incomplete. {'; '.join(problems)}")
    except SentinelIQError as error:
        output.exit_with_error(error.message)
    except StackError as error:
        output.exit_with_error(str(error))
    except OSError as error:
        has_file = error.filename is not None
        output.exit_with_error(f"{error.filename}: {error.strerror}" if has_file else str(error))
