"""Schedules and firings as the API accepts and returns them."""

import json
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from services.scheduler.schedules.timing import CatchUp

MAX_ARGS_BYTES = 8192


def _check_args(args: list[JsonValue]) -> list[JsonValue]:
    """Refuse what PostgreSQL cannot store (NaN, lone surrogates, NUL) or a message cannot carry."""
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
Args = Annotated[
    list[JsonValue],
    Field(max_length=20, json_schema_extra={"x-max-bytes": MAX_ARGS_BYTES}),
    AfterValidator(_check_args),
]


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
    """Changes of a schedule; fields that are left out stay as they are.

    `null` removes `cron` or `every_seconds`.
    """

    model_config = ConfigDict(extra="forbid")

    # Factories instead of None: null stays invalid, and only fields that the caller sent are read.
    name: Name = Field(default_factory=str)
    task: Task = Field(default_factory=str)
    args: Args = Field(default_factory=list)
    cron: Cron | None = None
    every_seconds: Every | None = None
    timezone: TimeZone = Field(default_factory=str)
    jitter_seconds: Jitter = Field(default_factory=int)
    enabled: bool = Field(default_factory=bool)
    catch_up: CatchUp = Field(default_factory=lambda: "skip")


class ScheduleView(BaseModel):
    """A schedule. `owner` is `code` for the platform's own, which only operators see."""

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


class FiringView(BaseModel):
    """A firing: `pending` until its message is `sent`, or `missed` if it was too late to send.

    `outcome` says what became of its task, and `reason` why it failed. A task that starts a run has
    succeeded with that: `run_id` names the run, whose state tells of the work.
    """

    model_config = ConfigDict(from_attributes=True)

    schedule_id: UUID
    due_at: datetime
    state: str
    actor: str
    fired_at: datetime
    sent_at: datetime | None
    message_id: UUID
    outcome: Literal["running", "succeeded", "failed"] | None = Field(
        None, description="Null until the task begins, and where nothing is known of it."
    )
    reason: str | None = None
    run_id: UUID | None = None
