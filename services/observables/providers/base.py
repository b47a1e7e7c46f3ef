"""The interface of a remote enricher: build a request about an observable, read the response.

Both are plain functions. Sending, waiting, limits, budgets, keys, retries and storage are the same
for every provider and live in `services.observables.enrichment`.
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
    """The calls that a provider allows in any span of so many seconds."""

    calls: int
    seconds: float


class Query(NamedTuple):
    """The observable that a provider is queried about.

    Attributes:
        type: an `ObservableType`.
        value: in its canonical form.
    """

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without the provider's base address.

    Attributes:
        path: begins with a slash; quote a value in it with `quote_segment`.
        params: parameters of the query string, unquoted.
        method: the HTTP method.
        headers: headers without secrets.
        auth_headers: credentials; a redirect to another host drops them.
        content: the body.
    """

    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    auth_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = None


class Weight(NamedTuple):
    """How a response changes the score.

    Attributes:
        weight: above 0, up to 1: a claim that the observable is bad, with this confidence; it
            fades with time as a source's claim does. Below 0, down to -1: takes this share of the
            score away.
        reason: one sentence for people.
    """

    weight: float
    reason: str


class RelatedObservable(NamedTuple):
    """An observable that a response names.

    Attributes:
        kind: of the relation from the queried observable to this one.
        type: an `ObservableType`.
        value: as the provider writes it; it is normalised, and dropped where it is invalid.
        inward: the relation goes from this observable to the queried one.
    """

    kind: RelationKind
    type: str
    value: str
    inward: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """The content of a response.

    Attributes:
        facts: few, flat and under stable names, without empty ones (`collect_facts`).
        weights: changes of the score.
        related: observables that the response names.
    """

    facts: Mapping[str, Fact]
    weights: tuple[Weight, ...] = ()
    related: tuple[RelatedObservable, ...] = ()


class InvalidAnswer(UpstreamError):
    """The provider's response is not in its own documented layout."""

    code = "bad-answer"


class RemoteEnricher(ABC):
    """One provider. Stateless: an instance serves every tenant.

    Attributes:
        name: unique, in lower case with underscores; facts and jobs are stored under it.
        title: the provider's name for people.
        documentation: the provider's page that describes the response.
        base_url: the address that paths are appended to; an installation may set another one.
        types: the `ObservableType`s that the provider answers about.
        key_fields: the fields of a key; empty when the provider takes no key.
        key_optional: whether the provider also answers without a key.
        rate: of one key, or of the installation where there is no key.
        daily: calls in a day (UTC); None when only the rate counts.
        concurrency: calls under way at once.
        max_tlp: the strictest marking of an observable that may be disclosed to the provider.
        lifetime: how long a response is fresh; a fresh one is not fetched again.
        weights_lifetime: how long the weights count in the score.
        origin: whose observations the answers repeat; the provider's own name when empty.
        shareable: whether a response obtained without a tenant's own key may serve other tenants.
        timeout: seconds for one call.
        max_body: bytes of a response; a larger one is refused.
        unknown_statuses: HTTP statuses that mean "not known".
        over_quota_statuses: HTTP statuses that mean "over quota".
        key_statuses: HTTP statuses that mean "key refused".
        test_query: a harmless query, sent to try out a key.
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
    origin: ClassVar[str] = ""
    shareable: ClassVar[bool] = True
    timeout: ClassVar[float] = 20.0
    max_body: ClassVar[int] = 2 * 1024 * 1024
    unknown_statuses: ClassVar[frozenset[int]] = frozenset({404})
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({429})
    key_statuses: ClassVar[frozenset[int]] = frozenset({401, 403})
    test_query: ClassVar[Query]

    @abstractmethod
    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """Build the request about an observable.

        Args:
            query: an observable of one of `types`.
            key: the values of `key_fields`; empty when there is no key.
        """

    @abstractmethod
    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the body of a successful response; None when the provider does not know the value.

        Raises:
            InvalidAnswer, msgspec.DecodeError: the body is not in the documented layout.
        """

    def applies(self, query: Query) -> bool:
        """Whether the provider answers about this value, and not only about its type."""
        return query.type in self.types
