"""The enrichers of the API: what a tenant sees of them, and what it can change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.observables.providers.base import Tlp
from shared.stix import ObservableType


@dataclass(frozen=True, slots=True)
class QueueBlock:
    """Why a queue makes no calls, and until when."""

    kind: Annotated[
        Literal["quota", "trouble", "key"],
        Field(
            description="the provider's quota is used up, it keeps failing, or it refuses the key"
        ),
    ]
    until: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue in front of a provider, for the key that the tenant uses."""

    owner: Annotated[
        str, Field(description="of the key; `public` where there is none, or where it is lent")
    ]
    waiting: int
    running: int
    used_today: int
    left_today: Annotated[
        int | None, Field(description="of the daily budget (UTC); null where there is none")
    ]
    pace: Annotated[float, Field(description="calls a second, measured lately")]
    blocked: QueueBlock | None
    finished: Annotated[
        datetime | None, Field(description="when all waiting jobs will probably have finished")
    ]


@dataclass(frozen=True, slots=True)
class EnricherView:
    """A remote enricher as the tenant sees it."""

    name: str
    title: str
    documentation: str
    types: list[ObservableType]
    key_fields: Annotated[
        list[str], Field(description="the fields of a key; empty where none is needed")
    ]
    key_optional: bool
    has_key: Annotated[bool, Field(description="the tenant has set a key")]
    lent_key: Annotated[bool, Field(description="the operators lend theirs")]
    enabled: bool
    obstacle: Annotated[str | None, Field(description="why it cannot be queried; null when it can")]
    max_tlp: Annotated[Tlp, Field(description="the strictest marking that it may receive")]
    calls: Annotated[int, Field(description="calls in any span of `seconds`")]
    seconds: float
    daily: Annotated[int | None, Field(description="calls in a day (UTC)")]
    concurrency: int
    lifetime: Annotated[
        float, Field(description="seconds during which an answer is not asked for again")
    ]
    queue: Annotated[QueueView | None, Field(description="null before the first query")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RatePatch(_Body):
    """The rate of a plan."""

    calls: Annotated[int, Field(ge=1, le=100_000)]
    seconds: Annotated[float, Field(ge=0.1, le=86_400)]


KeyField = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[\x20-\x7e]+$")]


class EnricherPatch(_Body):
    """Changes of a tenant's settings of an enricher."""

    enabled: bool | None = None
    key: dict[str, KeyField] | None = Field(
        None, max_length=20, description="write-only; by the names in `key_fields`"
    )
    max_tlp: Tlp | None = None
    rate: RatePatch | None = Field(None, description="of the plan that the key belongs to")
    daily: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="the plan's calls in a day"
    )
