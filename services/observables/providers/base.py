"""What a remote enricher is: how one question to a provider is written, and how its answer is read.

Both are plain functions. Sending, waiting, limits, budgets, keys, retries and storage are the same for all of them and
live in `services.observables.enrichment`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final, Literal, NamedTuple

from shared.errors import UpstreamError

Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
RelationKind = Literal[
    "resolves-to",
    "belongs-to",
    "part-of",
    "communicates-with",
    "downloaded-from",
    "same-report",
    "related-to",
]
Scalar = str | int | float | bool | None
Fact = Scalar | list[str | int | float]

NO_FIELDS: Final[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a provider allows: so many calls in any span of so many seconds."""

    calls: int
    seconds: float


class Query(NamedTuple):
    """The observable that is asked about, in its canonical form."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the provider's base address.

    Attributes:
        path: begins with a slash; a value in it is quoted by `quote_segment`.
        params: of the query string, quoted when they are sent.
        headers: nothing secret.
        auth_headers: credentials; they never follow a redirect to another host.
        content: the body.
    """

    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    auth_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = None


class Weight(NamedTuple):
    """What an answer does to the score.

    Attributes:
        weight: 0 to 1 is a voice that says the observable is bad, as sure as that; it fades with time like a source's.
            -1 to 0 takes that share of the score away.
        reason: one sentence for people.
    """

    weight: float
    reason: str


class RelatedObservable(NamedTuple):
    """An observable that an answer names.

    Attributes:
        kind: of the relation from the observable that was asked about to this one.
        type: an `ObservableType`.
        value: as the provider writes it; it is normalised, and left out when it is none of that type.
        inward: the relation goes from this one to the one that was asked about.
    """

    kind: RelationKind
    type: str
    value: str
    inward: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What an answer says.

    Attributes:
        facts: small, flat, under stable names; what is None is left out.
    """

    facts: Mapping[str, Fact]
    weights: tuple[Weight, ...] = ()
    related: tuple[RelatedObservable, ...] = ()


class InvalidAnswer(UpstreamError):
    """The provider answered with something that is not in its own documented layout."""

    code = "bad-answer"


class RemoteEnricher(ABC):
    """One provider's answer to one kind of question. Stateless; an instance serves every tenant.

    Attributes:
        name: unique, in lower case with underscores; facts and jobs are kept under it.
        title: for people.
        documentation: the provider's page that describes the answer.
        base: the address that paths are appended to; an installation may name another one.
        types: the `ObservableType`s that can be asked about.
        key_fields: names of what a key consists of; none when the provider wants no key.
        key_optional: whether it also answers without one.
        rate: of one key, or of one installation where there is none.
        daily: calls in a day (UTC); None when only the rate counts.
        concurrency: calls under way at once.
        max_tlp: the strictest marking of an observable that may be told to this provider.
        lifetime: how long an answer is good enough not to ask again.
        weights_lifetime: how long its weights count in the score.
        shared: whether an answer got without a tenant's own key may serve other tenants.
        timeout: seconds for one call.
        max_body: bytes of an answer; a larger one is refused.
        unknown_statuses: HTTP statuses that mean "never heard of it".
        over_quota_statuses: HTTP statuses that mean "not so fast".
        key_statuses: HTTP statuses that mean "not with this key".
        test_query: a harmless question for trying out a key.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    documentation: ClassVar[str]
    base_url: ClassVar[str]
    types: ClassVar[frozenset[str]]
    key_fields: ClassVar[tuple[str, ...]] = NO_FIELDS
    key_optional: ClassVar[bool] = False
    rate: ClassVar[RateLimit]
    daily: ClassVar[int | None] = None
    concurrency: ClassVar[int] = 4
    max_tlp: ClassVar[Tlp] = "green"
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    weights_lifetime: ClassVar[timedelta] = timedelta(days=30)
    shareable: ClassVar[bool] = True
    timeout: ClassVar[float] = 20.0
    max_body: ClassVar[int] = 2 * 1024 * 1024
    unknown_statuses: ClassVar[frozenset[int]] = frozenset({404})
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({429})
    key_statuses: ClassVar[frozenset[int]] = frozenset({401, 403})
    test_query: ClassVar[Query]

    @abstractmethod
    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """The question.

        Args:
            query: of one of `types`.
            key: the values of `key_fields`; empty when there is no key.
        """

    @abstractmethod
    def read(self, query: Query, content: bytes) -> Finding | None:
        """What an answer with a status of success says; None when the provider knows nothing about the value.

        Raises:
            InvalidAnswer, msgspec.DecodeError: it is not in the documented layout.
        """

    def applies(self, query: Query) -> bool:
        """Whether this value can be asked about, of those whose type can; most can."""
        return query.type in self.types
