"""`sentineliq secrets`."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.local.rotated_logins import LOGINS
from sentineliq.local.rotation import all_keys, open_rotation
from sentineliq.local.secrets import Secrets, load_secrets
from shared.keys import Key
from shared.tokens import MAX_LIFETIME

secrets = CommandGroup("The secrets of this machine's stack: replace, list, end.")

_COLUMNS: Final = ("what for", "id", "of", "made", "state")
_DAY: Final = 86_400.0


@secrets.command("rotate")
def rotate_secrets(
    ctx: Context,
    *,
    days: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_LIFETIME.days, help="How long tokens of the former key stay valid."
        ),
    ] = MAX_LIFETIME.days,
    now: Annotated[
        bool, typer.Option("--now", help="End everything that the former keys have signed.")
    ] = False,
) -> None:
    """Replace the secret and the logins while the stack runs.

    Services go on working. Stored secrets are sealed anew. With --now all tokens of before end, and
    what is logged in with a former login is cut off.
    """
    with open_rotation(ctx.obj.data_dir, output.print_note) as rotation:
        waiting = rotation.rotate(days * _DAY, at_once=now)
        documents = _documents(rotation.secrets)
    if waiting:
        output.print_note(
            f"{waiting} stored secrets could not be sealed anew; their key stays valid. Set them "
            "anew, and rotate again, or end the key with `sentineliq secrets revoke ID`: "
            "`sentineliq secrets list` shows its id."
        )
    _answer(ctx, documents)


@secrets.command("revoke")
def revoke_key(
    ctx: Context, key: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]
) -> None:
    """End a former key: nothing of it is valid after some seconds."""
    with open_rotation(ctx.obj.data_dir, output.print_note) as rotation:
        rotation.revoke(key)
    ctx.obj.answer({"revoked": key}, output.cell(f"{key} has ended"))


@secrets.command("list")
def list_secrets(ctx: Context) -> None:
    """List keys and logins by their ids, with their ages."""
    _answer(ctx, _documents(load_secrets(ctx.obj.data_dir)))


def _answer(ctx: Context, documents: list[dict[str, str | None]]) -> None:
    rows = [
        (
            document["purpose"],
            document["id"],
            document["owner"],
            output.format_time(document["since"]) if document["since"] else "",
            document["state"],
        )
        for document in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows))


def _documents(stored: Secrets) -> list[dict[str, str | None]]:
    keys = [_key_document(key, stored) for key in all_keys(stored)]
    logins = [
        _document(state.name, state.id, "", state.since, "in use")
        for part in LOGINS
        for state in part.states(stored)
    ]
    return keys + logins


def _key_document(key: Key, stored: Secrets) -> dict[str, str | None]:
    state = "in use"
    if key.until is not None:
        days = (key.until - time.time()) / _DAY
        state = f"former, valid for {days:.1f} days"
    elif key.id in {former.id for former in stored.former_keys}:
        state = "former, until all is sealed anew"
    return _document(key.purpose, key.id, key.owner, key.since, state)


def _document(
    purpose: str, name: str, owner: str, since: float | None, state: str
) -> dict[str, str | None]:
    moment = None if since is None else datetime.fromtimestamp(since, UTC).isoformat()
    return {"purpose": purpose, "id": name, "owner": owner, "since": moment, "state": state}
