"""Quiet hours as the API accepts and returns them."""

from datetime import datetime, time
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.notifications.channel_types.base import Severity
from services.notifications.quiet_hours.periods import QuietPeriod

Weekday = Annotated[int, Field(ge=0, le=6, description="Monday is 0.")]


class PeriodBody(BaseModel):
    """A span of the week, by the clock of the time zone."""

    model_config = ConfigDict(extra="forbid")

    days: list[Weekday] = Field(
        default=[0, 1, 2, 3, 4, 5, 6], min_length=1, max_length=7, description="On which it begins."
    )
    start: time
    end: time = Field(description="On the next day, if it is not after the start.")

    @field_validator("start", "end")
    @classmethod
    def _has_no_zone(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("the time zone stands beside the periods: name the time alone")
        return value

    def period(self) -> QuietPeriod:
        """It as a plain value."""
        return QuietPeriod(frozenset(self.days), self.start, self.end)


class QuietHoursBody(BaseModel):
    """The quiet hours of a channel. What they hold is summed up when they end."""

    model_config = ConfigDict(extra="forbid")

    timezone: str = Field(max_length=100, description="IANA name, for instance Europe/Berlin.")
    periods: list[PeriodBody] = Field(min_length=1, max_length=20)
    passing: list[Severity] = Field(
        default=["critical"], max_length=4, description="Severities that do not wait."
    )


class QuietHoursView(QuietHoursBody):
    """Stored quiet hours."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    channel_id: UUID
    created_at: datetime
    updated_at: datetime
