"""The way in which tests put records into a topic: signed by the service that owns the topic."""

from typing import Any, Final

from shared.events import ConsumedHeaders, ConsumedRecord, Event, Headers
from shared.events.signature import EventSigner
from shared.settings import SERVICES, Settings

_OF_ALL: Final = "observables"
"""Signs what every service may send."""


def owner_of(topic: str) -> str:
    """A service that may send events of a topic."""
    owner = topic.partition(".")[0]
    return owner if owner in SERVICES else _OF_ALL


def signed_headers(settings: Settings, event: Event[Any]) -> Headers:
    """The headers of an event, with its owner's signature."""
    topic = event.topic.name
    headers = event.headers()
    return sign_headers(settings, topic, event.key, event.payload(), headers)


def sign_headers(
    settings: Settings, topic: str, key: bytes | None, value: bytes, headers: ConsumedHeaders
) -> Any:
    """Any headers with the signature of the topic's owner; the record may be wrong otherwise."""
    signer = EventSigner(settings, owner_of(topic))
    return signer.sign(topic, key, value, headers)  # type: ignore[arg-type]  # any headers


def signed_record(settings: Settings, event: Event[Any], offset: int = 0) -> ConsumedRecord:
    """An event as it is read from partition 0 of its topic."""
    headers = signed_headers(settings, event)
    return ConsumedRecord(event.topic.name, 0, offset, event.key, event.payload(), headers)
