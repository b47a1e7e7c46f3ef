"""Dead letters: reads them, and sends them again.

A letter that was sent again stays in its topic, as every record of a log does; a mark behind it
says that it was sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sentineliq.cli.client.kafka_reader import TopicRecord, read_topics, require_topic
from shared.errors import InvalidInput, NotFound
from shared.events import CATALOGUE, now
from shared.kafka.producer import Publisher
from shared.keys import OPERATOR
from shared.settings import Settings

_RETRIED: Final = "dead-retried"
"""The header of a mark; its value is the id of the letter that was sent again."""
_OWN_HEADERS: Final = "dead-"
"""Headers of dead letters; the original record has none of them."""


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter.

    Attributes:
        retried_at: when it was sent again.
    """

    record: TopicRecord
    retried_at: str | None

    @property
    def id(self) -> str:
        """Where it is: `topic/partition/offset`."""
        return self.record.id

    @property
    def cut(self) -> str | None:
        """What was cut from a record that was too large; None for a whole one."""
        return self.record.header("dead-cut")

    @property
    def original_headers(self) -> list[tuple[str, bytes]]:
        """The headers of the original record."""
        return [
            (name, value)
            for name, value in self.record.headers
            if not name.startswith(_OWN_HEADERS)
        ]

    def summary(self) -> dict[str, Any]:
        """The facts of a list, for programs."""
        return {
            "id": self.id,
            "buried_at": self.record.header("dead-at") or self.record.time,
            "tenant": self.record.header("ce_tenant"),
            "origin": self.record.header("dead-origin"),
            "reason": self.record.header("dead-reason"),
            "cut": self.cut,
            "retried_at": self.retried_at,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it, for programs."""
        headers = {name: value.decode("utf-8", "replace") for name, value in self.original_headers}
        return {
            **self.summary(),
            "key": self.record.key_text,
            "data": self.record.payload(),
            "headers": headers,
        }


async def dead_letters(settings: Settings, topic: str | None = None) -> list[DeadLetter]:
    """The dead letters of a topic, or of all topics, the oldest first."""
    topics = [entry.dead for entry in CATALOGUE]
    if topic is not None:
        topics = [f"{topic.removesuffix('.dead')}.dead"]
    records = await read_topics(settings, topics)
    marks = {record.header(_RETRIED): record.time for record in records if record.header(_RETRIED)}
    return [
        DeadLetter(record, marks.get(record.id))
        for record in records
        if record.header(_RETRIED) is None
    ]


async def select_letters(settings: Settings, ids: Sequence[str]) -> list[DeadLetter]:
    """The letters of some ids, in the ids' order.

    Raises:
        InvalidInput: an id has another form.
        NotFound: there is no such letter.
    """
    letters: dict[str, DeadLetter] = {}
    for topic in sorted({_topic_of(letter_id) for letter_id in ids}):
        letters |= {letter.id: letter for letter in await dead_letters(settings, topic)}
    missing = [letter_id for letter_id in ids if letter_id not in letters]
    if missing:
        raise NotFound(f"there is no dead letter {missing[0]}")
    return [letters[letter_id] for letter_id in ids]


def _topic_of(letter_id: str) -> str:
    topic, *place = letter_id.rsplit("/", 2)
    if len(place) != 2 or not topic.endswith(".dead") or not all(map(str.isdigit, place)):
        raise InvalidInput(
            f"{letter_id!r} is no id of a dead letter: give TOPIC.dead/PARTITION/OFFSET"
        )
    return require_topic(topic)


async def resend_letters(
    settings: Settings, letters: Sequence[DeadLetter], *, vouches: bool = False
) -> None:
    """Send letters to where they came from, with their own key, bytes and headers.

    Args:
        settings: name the cluster.
        letters: which.
        vouches: whether the operator signs them, in place of the service that made them.

    Raises:
        InvalidInput: a letter is not the whole record.
    """
    for letter in letters:
        if letter.cut is not None:
            raise InvalidInput(
                f"{letter.id} is not the whole record and cannot be sent again: {letter.cut}"
            )
    async with Publisher(settings, OPERATOR) as publisher:
        for letter in letters:
            record = letter.record
            origin = record.topic.removesuffix(".dead")
            headers = letter.original_headers
            if vouches:
                headers = publisher.signer.sign(origin, record.key, record.value, headers)
            await publisher.send(origin, record.key, record.value, headers)
            # Mark only what has arrived: an interrupted retry may send twice, and loses nothing.
            await publisher.flush()
            mark = [(_RETRIED, letter.id.encode()), ("dead-at", now().encode())]
            await publisher.send(record.topic, record.key, b"", mark)
        await publisher.flush()
