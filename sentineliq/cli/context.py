"""What every command has: where the installation is, whose tenant it speaks for, and how it answers."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer
from pydantic import ValidationError
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Client
from sentineliq.local.errors import StackError
from sentineliq.local.stack import stored_environment
from shared.errors import SentinelIQError
from shared.settings import SERVICES, Settings

P = ParamSpec("P")

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="SENTINELIQ_DATA_DIR", help="The installation's data folder.", show_default=True
    ),
]
Tenant = Annotated[str, typer.Option(envvar="SENTINELIQ_TENANT", help="Whose data it is about.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

DEFAULT_DATA_DIR: Final = Path(".sentineliq")
DEFAULT_TENANT: Final = "default"
_COMMON: Final = {
    "data_dir": (DataDir, DEFAULT_DATA_DIR),
    "tenant": (Tenant, DEFAULT_TENANT),
    "as_json": (AsJson, False),
}


@dataclass
class CommandContext:
    """One call of the command line.

    Attributes:
        data_dir: where `environment.json` of the running, or last, stack is.
        tenant: whose data it is about.
        as_json: whether a program reads the answer.
    """

    data_dir: Path = DEFAULT_DATA_DIR
    tenant: str = DEFAULT_TENANT
    as_json: bool = False
    _client: Client | None = field(default=None, repr=False)

    @functools.cached_property
    def environment(self) -> Mapping[str, str]:
        """Where everything is: what the stack wrote down, and over it what the environment says.

        Raises:
            StackError: neither knows.
        """
        named = {f"SENTINELIQ_{name.upper()}_URL" for name in SERVICES}
        key = os.environ.keys() & {"SENTINELIQ_TOKEN", "SENTINELIQ_SECRET_KEY"}
        stored = {} if key and named & os.environ.keys() else stored_environment(self.data_dir)
        return {**stored, **os.environ}

    @property
    def client(self) -> Client:
        """The services' APIs for this tenant."""
        self._client = self._client or Client(self.environment, self.tenant)
        return self._client

    @functools.cached_property
    def settings(self) -> Settings:
        """What a service process of this installation is told; for commands that ask Kafka or PostgreSQL themselves."""
        given = {
            name.removeprefix("SENTINELIQ_").lower(): value
            for name, value in self.environment.items()
        }
        known = {name: value for name, value in given.items() if name in Settings.model_fields}
        return Settings.model_validate({"data_dir": self.data_dir, **known})

    def answer(self, data: Any, *people: RenderableType) -> None:
        """Give the result: `data` to a program, `people` to people."""
        if self.as_json:
            output.echo_json(data)
        else:
            output.show(*people)

    def close(self) -> None:
        """Give connections back."""
        if self._client is not None:
            self._client.__exit__()


def command(
    app: typer.Typer, name: str, **options: Any
) -> Callable[
    [Callable[Concatenate[CommandContext, P], None]], Callable[Concatenate[CommandContext, P], None]
]:
    """Make a function a command: it gets a `CommandContext`, and the options that all commands have feed that."""

    def register(
        function: Callable[Concatenate[CommandContext, P], None],
    ) -> Callable[Concatenate[CommandContext, P], None]:
        app.command(name, **options)(_with_common_options(function))
        return function

    return register


def _with_common_options(function: Callable[..., None]) -> Callable[..., None]:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        context = CommandContext(**{name: kwargs.pop(name) for name in _COMMON})
        with reported_errors():
            try:
                function(context, *args, **kwargs)
            finally:
                context.close()

    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in _COMMON.items()
    ]
    as_keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    # Typer reads both to know a command's parameters.
    run.__signature__ = inspect.Signature([*as_keywords, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in [*as_keywords, *common]}
    return run


@contextmanager
def reported_errors() -> Iterator[None]:
    """Make of every expected error one line on stderr and exit code 1."""
    try:
        yield
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        output.fail(f"the settings are incomplete. {wrong}")
    except SentinelIQError as error:
        output.fail(error.message)
    except StackError as error:
        output.fail(str(error))
    except OSError as error:
        output.fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
