"""From a chunk of a feed run to what it says about observables. No I/O."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from services.observables.ingest import Said, Word
from shared.errors import InvalidInput
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.stix.ids import observable_id
from shared.stix.vocabulary import MAX_LENGTH

StandsFor = Callable[[str | None, tuple[str, ...]], tuple[str, ...]]
"""ATT&CK ids that a malware family and tags stand for; the same answer for the same question is one object."""


class Batch(NamedTuple):
    """What several chunks of one feed say, by observable id; a later chunk's word replaces an earlier one's.

    Attributes:
        origin: the number of the chunk an id came in last.
    """

    said: dict[str, Said]
    gone: dict[str, Said]
    origin: dict[str, int]


def read(data: IndicatorsObserved, number: int, batch: Batch, stands_for: StandsFor) -> list[str]:
    """Add a chunk to a batch.

    Args:
        data: the chunk.
        number: its number.
        batch: what it is added to.
        stands_for: maps malware and tags to ATT&CK.

    Returns:
        What is wrong with the indicators that were left out, each with its place in the chunk.
    """
    problems = []
    said, origin = batch.said, batch.origin
    usual = Word(data.confidence, data.tags, None, data.observed_at, None, attack=stands_for(None, data.tags))
    over = Word(0, (), None, data.observed_at, None, retracted=True)
    for position, indicator in enumerate(data.seen):
        try:
            identity = _identity(indicator)
            word = _word(indicator, usual, stands_for)
        except InvalidInput as error:
            problems.append(f"seen[{position}]: {error.message}")
            continue
        said[identity] = Said(identity, indicator.type, indicator.value, word)
        origin[identity] = number
    for position, indicator in enumerate(data.gone):
        try:
            identity = _identity(indicator)
        except InvalidInput as error:
            problems.append(f"gone[{position}]: {error.message}")
            continue
        batch.gone[identity] = Said(identity, indicator.type, indicator.value, over)
        origin[identity] = number
    return problems


def _word(indicator: Indicator, usual: Word, stands_for: StandsFor) -> Word:
    if (
        indicator.confidence is None
        and not indicator.tags
        and indicator.malware is None
        and indicator.first_seen is None
        and indicator.valid_until is None
        and indicator.last_seen is None
    ):
        return usual
    for moment in (indicator.first_seen, indicator.valid_until, indicator.last_seen):
        if moment is not None:
            parse_moment(moment)
    if indicator.confidence is not None and not 0 <= indicator.confidence <= 100:
        raise InvalidInput(f"a confidence of {indicator.confidence} is not between 0 and 100")
    tags = tuple(sorted({*usual.tags, *indicator.tags})) if indicator.tags else usual.tags
    return Word(
        usual.confidence if indicator.confidence is None else indicator.confidence,
        tags,
        indicator.malware,
        indicator.first_seen or usual.first_seen,
        indicator.valid_until,
        indicator.last_seen,
        stands_for(indicator.malware, tags) if indicator.malware or indicator.tags else usual.attack,
    )


def parse_moment(text: str) -> datetime:
    """A time as RFC 3339 writes it; without an offset it is UTC.

    Raises:
        InvalidInput: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time as RFC 3339 writes it.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _identity(indicator: Indicator) -> str:
    value = indicator.value
    if not value or len(value) > MAX_LENGTH or "\0" in value:
        raise InvalidInput("the value is empty, longer than 8,192 characters, or has a NUL")
    try:
        return observable_id(indicator.type, value)
    except KeyError:
        raise InvalidInput(f"{indicator.type!r} is no type of observable") from None


def dashed(uuid: bytes) -> str:
    """The 16 bytes of a UUID as it is written; a `uuid.UUID` costs four times as much."""
    text = uuid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
