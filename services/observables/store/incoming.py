"""What a source reports about observables, and the plan of what that changes. No I/O."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from services.observables.scoring.inputs import ScoreUpdate, StoredAssertion
from shared.events.observables import Change


class AssertionData(NamedTuple):
    """What a source reports about an observable, with the event's defaults filled in.

    Many observables share one.

    Attributes:
        last_seen: None when the source gives no time; it is then that of the run.
    """

    confidence: int
    tags: tuple[str, ...]
    malware: str | None
    first_seen: datetime
    valid_until: datetime | None
    last_seen: datetime | None = None
    attack: tuple[str, ...] = ()
    retracted: bool = False


class IncomingAssertion(msgspec.Struct, frozen=True, gc=False):
    """One indicator of a source, with its observable's id."""

    id: str
    type: str
    value: str
    data: AssertionData


class AssertingSource(NamedTuple):
    """The source of a run, and the time of the run.

    Attributes:
        is_repetition: whether the run says everything again.
        is_amendment: whether a person amends by the run what the source has said.
        origin: whose observation it publishes; empty when nobody has named it.
        derived_from: the origins that it is made of.
        measurements: of it, as its row holds them.
    """

    id: str
    name: str
    reliability: int
    observed_at: datetime
    kind: str = "stream"
    confirmed_at: datetime | None = None
    tenant: str = ""
    tlp: str = ""
    is_repetition: bool = False
    origin: str = ""
    derived_from: tuple[str, ...] = ()
    measurements: str = ""
    is_amendment: bool = False

    def stored(self, data: AssertionData) -> StoredAssertion:
        """A report of this source as it is stored."""
        observed_at = self.observed_at
        return StoredAssertion(
            self.tenant,
            self.name,
            self.id,
            self.tlp,
            data.first_seen,
            self.reliability,
            data.confidence,
            data.tags,
            data.attack,
            data.malware,
            data.last_seen or observed_at,
            data.valid_until,
            observed_at if data.retracted else None,
            self.kind,
            self.confirmed_at,
            observed_at,
            self.origin,
            self.derived_from,
            self.measurements,
        )


class IngestPlan(NamedTuple):
    """What has to be written, and what to publish.

    Attributes:
        created: new observables, with their score; this source is the first to report them.
        asserted: further observables that this source reports for the first time.
        reasserted: assertions of this source that differ from what is stored. One whose data is
            `retracted` was reported before its retraction, and stays retracted.
        rescored: observables whose score changes, with the new one, or that are due earlier.
        retracted: ids of observables this source no longer asserts.
        repeated: ids of observables about which the source repeats, later on the same day, what is
            stored already.
        widened: ids of observables that the source saw earlier than stored, with that moment.
        changes: one per observable that is new or changed for a reader.
        altered: ids of observables, beside new ones, of which the source's assertion is another one
            now, or holds again.
    """

    created: list[tuple[IncomingAssertion, ScoreUpdate]]
    asserted: list[IncomingAssertion]
    reasserted: list[IncomingAssertion]
    rescored: list[tuple[str, ScoreUpdate]]
    retracted: list[str]
    repeated: list[str]
    widened: list[tuple[str, datetime]]
    changes: list[Change]
    altered: list[str]
