"""Events about objects that clients post into collections, and delete from them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from services.observables import EVENT_SOURCE
from services.observables.taxii.models import CollectionRow
from shared.events import Event, derived_id
from shared.events.observables import POSTED, ObjectsPosted

MAX_BYTES: Final = 384 * 1024
"""Bytes of the objects of one event; an object has at most 256 KiB."""


class PostOrigin(NamedTuple):
    """Where the objects of events come from.

    Attributes:
        collection: into which they are posted.
        post_id: the document, or what names a deletion.
        place: of the first of them in the document.
        actor: who posts or deletes.
    """

    collection: CollectionRow
    post_id: UUID
    place: int
    actor: str


def posted_events(origin: PostOrigin, payloads: Sequence[bytes]) -> Iterator[Event[ObjectsPosted]]:
    """The events that tell of objects, in their order; the same objects give the same events."""
    collection = origin.collection
    for number, objects in enumerate(_cut(payloads)):
        content = ObjectsPosted(
            collection_id=collection.id,
            collection=collection.title,
            post_id=origin.post_id,
            piece=origin.place + number,
            objects=objects,
            tlp=collection.tlp,
            actor=origin.actor,
        )
        identity = derived_id(POSTED.name, collection.tenant, origin.post_id, content.piece)
        key = str(collection.id).encode()
        yield Event(POSTED, content, collection.tenant, EVENT_SOURCE, key, identity)


def count_events(payloads: Sequence[bytes]) -> int:
    """How many events tell of objects."""
    return sum(1 for _ in _cut(payloads))


def revoked(payload: bytes) -> bytes:
    """An object as JSON, revoked."""
    return msgspec.json.encode({**msgspec.json.decode(payload), "revoked": True})


def _cut(payloads: Sequence[bytes]) -> Iterator[list[msgspec.Raw]]:
    """Cut objects, in order, into lists that fit an event."""
    objects: list[msgspec.Raw] = []
    size = 0
    for payload in payloads:
        if objects and size + len(payload) > MAX_BYTES:
            yield objects
            objects = []
            size = 0
        objects.append(msgspec.Raw(payload))
        size += len(payload)
    if objects:
        yield objects
