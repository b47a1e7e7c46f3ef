"""`sentineliq login` and `sentineliq logout`."""

import os
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import ApiProblem, Client
from sentineliq.cli.context import DEFAULT_TENANT, CommandGroup, Context
from sentineliq.cli.stored_login import forget_login, login_environment, store_login
from shared.errors import InvalidInput, SentinelIQError

login = CommandGroup()
logout = CommandGroup()

_PASSWORD_VARIABLE = "SENTINELIQ_PASSWORD"  # noqa: S105  # the name of a variable
_CODE_VARIABLE = "SENTINELIQ_CODE"


@login.command("login")
def sign_in(
    ctx: Context,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="SENTINELIQ_GATEWAY_URL",
            help="The gateway's address; without it that of this machine's stack.",
        ),
    ] = None,
    *,
    link: Annotated[
        str | None,
        typer.Option(help="Accept the invitation of this link, and create its account."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--login", help="Your login: a mail address, or a name.")
    ] = None,
) -> None:
    """Sign in to a gateway; the commands act as you from then on.

    You are asked for the password, and for a code if your account has one-time codes. The variables
    SENTINELIQ_PASSWORD and SENTINELIQ_CODE stand in for the questions.
    """
    secret = None
    if link is not None:
        address, _, secret = link.partition("#")
        url = url or address.removesuffix("/welcome")
    base = (url or ctx.obj.environment["SENTINELIQ_GATEWAY_URL"]).rstrip("/")
    account = name or typer.prompt("login", err=True)
    password = os.environ.get(_PASSWORD_VARIABLE) or typer.prompt(
        "password", hide_input=True, confirmation_prompt=secret is not None, err=True
    )
    body = {"login": account, "password": password, "device": "command-line"}
    client = Client({"SENTINELIQ_GATEWAY_URL": base}, DEFAULT_TENANT, is_anonymous=True)
    with client:
        if secret is None:
            answer = _sign_in(client, body)
        else:
            path = "/v1/sign-in/link/accept"
            answer = client.post("gateway", path, {**body, "secret": secret})
    if answer is None:
        ctx.obj.answer({"password": "set"}, output.cell("the password is set: sign in with it"))
        return
    session = answer["session"]
    stored = store_login(base, answer["token"], session["login"])
    place = session["tenant"] or "no tenant yet: name it with --tenant"
    ctx.obj.answer(session, output.cell(f"{session['login']}: {session['role']} of {place}"))
    output.print_note(f"the session is in {stored}; `sentineliq logout` ends it")


@logout.command("logout")
def sign_out(ctx: Context) -> None:
    """End the session of `sentineliq login`, and forget it."""
    environment = login_environment()
    if not environment:
        raise InvalidInput("nobody has signed in here")
    try:
        with Client(environment, DEFAULT_TENANT) as client:
            client.delete("gateway", "/v1/session")
    except ApiProblem as error:
        # The session is over; only its file is left.
        output.print_note(error.message)
    except SentinelIQError:
        forget_login()
        raise
    forget_login()
    ctx.obj.answer({"signed_out": True}, output.cell("signed out"))


def _sign_in(client: Client, body: dict[str, Any]) -> Any:
    code = os.environ.get(_CODE_VARIABLE)
    try:
        return client.post("gateway", "/v1/sign-in", {**body, "code": code})
    except ApiProblem as problem:
        if code is not None or not _asks_for_code(problem):
            raise
    code = typer.prompt("code of your authenticator, or a recovery code", err=True)
    return client.post("gateway", "/v1/sign-in", {**body, "code": code})


def _asks_for_code(problem: ApiProblem) -> bool:
    return "authenticator" in problem.message
