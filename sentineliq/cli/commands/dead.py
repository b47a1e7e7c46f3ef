"""`sentineliq dead`: records that nobody could handle, looked at and sent again.

A retried letter stays in its topic, as everything in a log does; a mark behind it says that it was sent again.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.kafka_reader import TopicRecord, known_topic, read_all
from sentineliq.cli.context import CommandContext, command
from shared.errors import InvalidInput, NotFound
from shared.events import CATALOGUE, now
from shared.kafka.producer import Publisher
from shared.settings import Settings

dead = typer.Typer(help="Dead letters: records that nobody could handle.", no_args_is_help=True)

RETRIED: Final = "dead-retried"
_OURS: Final = "dead-"
"""Headers that burying adds; the original has none of them."""

Topic = Annotated[str | None, typer.Option(help="Only of this topic, e.g. feeds.observed.v1.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(dead, name="dead")


async def letters(
    settings: Settings, topic: str | None = None
) -> list[tuple[TopicRecord, str | None]]:
    """Dead letters with the time at which each was sent again; None for those that were not."""
    topics = [f"{topic.removesuffix('.dead')}.dead"] if topic else [one.dead for one in CATALOGUE]
    entries = await read_all(settings, topics)
    marks = {one.header(RETRIED): one.time for one in entries if one.header(RETRIED)}
    return [(one, marks.get(one.id)) for one in entries if one.header(RETRIED) is None]


@command(dead, "list")
def list_letters(
    context: CommandContext,
    *,
    topic: Topic = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were sent again.")
    ] = False,
) -> None:
    """Dead letters that wait for somebody."""
    if topic:
        known_topic(topic)
    found = asyncio.run(letters(context.settings, topic))
    shown = [pair for pair in found if everything or pair[1] is None]
    columns = ("id", "buried", "tenant", "was at", "reason", "sent again")
    data = [_facts(one, retried) for one, retried in shown]
    rows = [
        (
            fact["id"],
            output.moment(fact["buried_at"]),
            fact["tenant"],
            fact["origin"],
            fact["reason"],
            fact["retried_at"],
        )
        for fact in data
    ]
    context.answer(data, output.table(columns, rows, empty="no dead letters"))


def _facts(one: TopicRecord, retried: str | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "buried_at": one.header("dead-at") or one.time,
        "tenant": one.header("ce_tenant"),
        "origin": one.header("dead-origin"),
        "reason": one.header("dead-reason"),
        "retried_at": retried,
    }


@command(dead, "show")
def show_letter(
    context: CommandContext, letter: Annotated[str, typer.Argument(metavar="ID")]
) -> None:
    """One dead letter: its reason, headers and payload."""
    [(one, retried)] = asyncio.run(_chosen(context.settings, [letter]))
    headers = {
        name: value.decode("utf-8", "replace")
        for name, value in one.headers
        if not name.startswith(_OURS)
    }
    data = {
        **_facts(one, retried),
        **{name: one.as_dict()[name] for name in ("key", "data")},
        "headers": headers,
    }
    context.answer(data, output.details(data))


async def _chosen(settings: Settings, ids: Sequence[str]) -> list[tuple[TopicRecord, str | None]]:
    """The letters of some ids, in the ids' order.

    Raises:
        InvalidInput: an id is none.
        NotFound: there is no such letter.
    """
    topics = {known_topic(one.rsplit("/", 2)[0]) for one in ids if _is_id(one)}
    found = {
        entry.id: (entry, at)
        for topic in sorted(topics)
        for entry, at in await letters(settings, topic)
    }
    missing = [one for one in ids if one not in found]
    if missing:
        raise NotFound(f"there is no dead letter {missing[0]}")
    return [found[one] for one in ids]


def _is_id(text: str) -> bool:
    parts = text.rsplit("/", 2)
    if len(parts) != 3 or not (
        parts[1].isdigit() and parts[2].isdigit() and parts[0].endswith(".dead")
    ):
        raise InvalidInput(f"{text!r} is no id of a dead letter: TOPIC.dead/PARTITION/OFFSET")
    return True


@command(dead, "retry")
def retry_letters(
    context: CommandContext,
    chosen: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="As `dead list` shows them.")
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All that were not sent again yet.")
    ] = False,
    topic: Topic = None,
) -> None:
    """Send dead letters again to where they came from, with their own key, bytes and headers."""
    if bool(chosen) == (everything or topic is not None):
        raise typer.BadParameter("name letters, or give --all (perhaps with --topic)")
    sent = asyncio.run(_retry(context.settings, chosen or [], topic))
    said = [
        f"{one} was sent again to {one.rsplit('/', 2)[0].removesuffix('.dead')}" for one in sent
    ]
    context.answer(
        {"sent": sent}, *[output.cell(line) for line in said or ["there was nothing to send"]]
    )


async def _retry(settings: Settings, ids: Sequence[str], topic: str | None) -> list[str]:
    if ids:
        wanted = [one for one, _ in await _chosen(settings, ids)]
    else:
        wanted = [one for one, retried in await letters(settings, topic) if retried is None]
    async with Publisher(settings) as publisher:
        for one in wanted:
            original = [(name, value) for name, value in one.headers if not name.startswith(_OURS)]
            await publisher.send(one.topic.removesuffix(".dead"), one.key, one.value, original)
            # Only what has arrived is marked: an interrupted retry may send twice, and loses nothing.
            await publisher.flush()
            mark = [(RETRIED, one.id.encode()), ("dead-at", now().encode())]
            await publisher.send(one.topic, one.key, b"", mark)
        await publisher.flush()
    return [one.id for one in wanted]
