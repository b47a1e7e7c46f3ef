"""Everything that documents mark, stored as a tenant's, and what leaves from there."""

import io
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import pytest
from starlette.testclient import TestClient

from services.feeds.formats.registry import format_named
from services.feeds.snapshots.document_parser import DocumentParser
from services.feeds.snapshots.parsed_blocks import ParsedBlock, ParseOrder
from shared.database import Database
from shared.events.feeds import Indicator
from shared.stix.markings import MARKINGS, STRICTNESS
from tests.observables.conftest import chunk, handle
from tests.observables.dissemination.conftest import Lists
from tests.observables.enrichment.conftest import providers, world
from tests.observables.markings.documents import MarkedDocument, marked_documents

DOCUMENTS: Final = marked_documents()
LEVELS: Final = MARKINGS[:-1]
"""The ceilings that there are: none lets through what is closed."""


def within(ceiling: str) -> set[str]:
    """The values that a ceiling lets through."""
    highest = STRICTNESS[ceiling]
    return {each.value for each in DOCUMENTS if STRICTNESS[each.marking] <= highest}


def parsed(document: MarkedDocument, *, is_public: bool = False) -> list[Indicator]:
    """What a feed publishes of a document."""
    parser = DocumentParser(
        format_named(document.format),
        document.options,
        ParseOrder(wants_texts=True),
        is_public=is_public,
    )
    messages = parser.parse(lambda: nullcontext(io.BytesIO(document.content)))
    blocks = [message for message in messages if isinstance(message, ParsedBlock)]
    lines = [line for block in blocks for line in block.texts.splitlines()]
    return [msgspec.json.decode(line, type=Indicator) for line in lines]


def parsed_all(documents: Iterable[MarkedDocument], **options: Any) -> list[Indicator]:
    """What a feed publishes of several documents."""
    return [item for document in documents for item in parsed(document, **options)]


@pytest.fixture
def stored(own: Database) -> list[Indicator]:
    """All of them, as the tenant acme has them from an open feed."""
    indicators = parsed_all(DOCUMENTS)
    handle(own, chunk(*indicators))
    return indicators


@pytest.fixture
def lists(own: Database, client_for: Callable[..., TestClient]) -> Lists:
    return Lists(own, client_for("observables"))


__all__ = [
    "DOCUMENTS",
    "LEVELS",
    "lists",
    "parsed",
    "parsed_all",
    "providers",
    "stored",
    "within",
    "world",
]
