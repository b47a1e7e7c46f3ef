"""Records of providers' answers, and of what decides about disclosure."""

from datetime import datetime
from typing import NamedTuple

from services.observables.providers.base import Finding


class StoredAnswer(NamedTuple):
    """A provider's answer as it is stored.

    Attributes:
        finding: None when the provider knows nothing about the value.
        counts_until: how long its weights are part of the score.
        raw: the provider's bytes, compressed with zstd.
    """

    observable_id: str
    enricher: str
    finding: Finding | None
    obtained_at: datetime
    expires_at: datetime
    counts_until: datetime
    raw: bytes | None


class CachedAnswer(NamedTuple):
    """An answer that is still good, so that the provider need not be asked again."""

    tenant: str
    finding: Finding | None
    obtained_at: datetime


class RawAnswer(NamedTuple):
    """A provider's bytes, compressed with zstd, and when they were obtained."""

    content: bytes
    obtained_at: datetime


class DisclosureState(NamedTuple):
    """What decides whether an observable may be sent to a provider.

    Attributes:
        tlps: markings of the sources that assert it, of their assertions, and its own.
        context: offline enrichment, as JSON.
        depth: answers between it and the source or person that named it.
    """

    tlps: tuple[str, ...]
    context: str
    depth: int
