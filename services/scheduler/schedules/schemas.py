"""What the API takes and gives."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from services.scheduler.schedules.timing import CatchUp
from shared.errors import InvalidInput

T = TypeVar("T", bound=BaseModel)

MAX_ARGS_BYTES = 8192


def _storable(args: list[JsonValue]) -> list[JsonValue]:
    """Refuse what JSON in PostgreSQL cannot hold: NaN, lone surrogates, NUL; and what is too large for a message."""
    text = json.dumps(args, allow_nan=False, ensure_ascii=False)
    if len(text.encode()) > MAX_ARGS_BYTES:
        raise ValueError(f"the arguments have more than {MAX_ARGS_BYTES} bytes as JSON")
    if "\\u0000" in text:
        raise ValueError("a text must not contain NUL")
    return args


Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
Task = Annotated[str, StringConstraints(max_length=120)]
Cron = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Every = Annotated[int, Field(ge=1, le=366 * 86400)]
TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Jitter = Annotated[int, Field(ge=0, le=86400)]
Args = Annotated[list[JsonValue], Field(max_length=20), AfterValidator(_storable)]


class ScheduleCreate(BaseModel):
    """A new schedule: a task, and either `cron` (five fields, in `timezone`) or `every_seconds`."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    task: Task = Field(examples=["feeds.tasks.start_feed"])
    args: Args = Field(default_factory=list, description="Positional arguments of the task.")
    cron: Cron | None = Field(None, examples=["30 6 * * MON-FRI"])
    every_seconds: Every | None = None
    timezone: TimeZone = "UTC"
    jitter_seconds: Jitter = Field(0, description="Each firing is put off by up to this.")
    enabled: bool = True
    catch_up: CatchUp = Field(
        "skip", description="When found more than a minute late: skip it, or fire once."
    )


class SchedulePatch(BaseModel):
    """What is to change; fields that are left out stay as they are. `null` takes `cron` or `every_seconds` away."""

    model_config = ConfigDict(extra="forbid")

    # Factories, not values: only what the caller sent is ever read, and null is refused where it means nothing.
    name: Name = Field(default_factory=str)
    task: Task = Field(default_factory=str)
    args: Args = Field(default_factory=list)
    cron: Cron | None = None
    every_seconds: Every | None = None
    timezone: TimeZone = Field(default_factory=str)
    jitter_seconds: Jitter = Field(default_factory=int)
    enabled: bool = Field(default_factory=bool)
    catch_up: CatchUp = Field(default_factory=lambda: "skip")


class Schedule(BaseModel):
    """A schedule as it is stored. `owner` is `code` for the platform's own, which only operators see."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant: str
    name: str
    task: str
    queue: str
    args: list[JsonValue]
    cron: str | None
    every_seconds: int | None
    timezone: str
    jitter_seconds: int
    catch_up: CatchUp
    owner: str
    enabled: bool
    disabled_reason: str | None
    next_due_at: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class Fire(BaseModel):
    """One firing: `pending` until its message is with the broker, `missed` when it was dropped as too late."""

    model_config = ConfigDict(from_attributes=True)

    schedule_id: UUID
    due_at: datetime
    state: str
    actor: str
    fired_at: datetime
    sent_at: datetime | None
    message_id: UUID


class Beat(BaseModel):
    """A Beat's heartbeat."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    host: str
    pid: int
    started_at: datetime
    last_tick_at: datetime
    last_fired_at: datetime | None
    seconds_since_tick: float


class Page(BaseModel, Generic[T]):
    """Part of a list; `next`, sent back as `after`, gives the part behind it."""

    items: list[T]
    next: str | None = None


def page(items: Sequence[T], limit: int, key: Callable[[T], Sequence[str]]) -> Page[T]:
    """A page of at most `limit` items, when one more was asked for to know whether there is a next."""
    kept = list(items[:limit])
    return Page(items=kept, next=_encode(key(kept[-1])) if len(items) > limit else None)


def _encode(parts: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def decode_cursor(cursor: str, *kinds: Callable[[str], Any]) -> tuple[Any, ...]:
    """The parts of a cursor.

    Raises:
        InvalidInput: it is not one that a list of this kind gave.
    """
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(
            "This is not a cursor of this list; send the `next` of a page.", field="after"
        ) from error
