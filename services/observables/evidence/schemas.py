"""Evidence about sources as the API shows it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class SourcePairView(BaseModel):
    """Two sources of which one probably copies the other, with the counts that tell it."""

    tenant: str
    copier_id: Any
    copier: str = Field(description="the name of the source that copies")
    original_id: Any
    original: str = Field(description="the name of the other")
    probability: float = Field(description="that what both claim was copied, 0 to 1")
    shared: int = Field(description="observables that both list, of those that were read")
    containment: float = Field(
        description="the share of the smaller list, without what third sources list, that the "
        "larger has as well"
    )
    expected: float = Field(description="what that share is at most for independent sources")
    mistakes: int = Field(description="harmless observables that both list")
    earlier: int = Field(description="how many of them the original listed on an earlier day")
    later: int = Field(description="how many of them the copier listed on an earlier day")
    measured_at: datetime
