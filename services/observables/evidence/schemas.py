"""Evidence about sources as the API shows it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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


class SourceQualityView(BaseModel):
    """What came out about the listings of a source, and how far it can be relied on by that."""

    tenant: str
    source_id: Any
    source: str = Field(description="its name")
    type: str = Field(description="of observables; empty for all types together")
    right_count: int = Field(description="listings that are bad, as the source says")
    wrong_count: int = Field(description="listings that are harmless")
    stated: int = Field(description="the reliability that its grade stands for, 0 to 100")
    learned: int = Field(description="the reliability by its grade and what came out since")
    low: int = Field(description="with 90 % it is not lower")
    high: int = Field(description="with 90 % it is not higher")
    is_applied: bool = Field(description="whether scores use another reliability than the stated")
    measured_at: datetime


class EvidencePolicy(BaseModel):
    """Whether what is learned about sources counts in the tenant's scores."""

    model_config = ConfigDict(extra="forbid")

    applies_learning: bool
