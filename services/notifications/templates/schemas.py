"""Templates as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.topics import TopicName

MAX_TEMPLATE: Final = 8192
"""Characters of a template."""
TemplateText = Annotated[str, Field(min_length=1, max_length=MAX_TEMPLATE)]


class TemplateBody(BaseModel):
    """A template in the language of Jinja: plain data, filters and loops, nothing else."""

    model_config = ConfigDict(extra="forbid")

    text: TemplateText = Field(
        description="For instance `{% for match in matches %}{{ match.value }}\\n{% endfor %}`."
    )


class TemplateTrial(TemplateBody):
    """A template, and what it is to be tried on."""

    topic: TopicName = Field(
        "observables", description="The topic of the rule; the sample is an event of it."
    )


class TemplatePreview(BaseModel):
    """What a template writes of a sample."""

    preview: str


class TemplateView(TemplatePreview):
    """The template of a rule."""

    rule_id: UUID
    text: str
    created_at: datetime
    updated_at: datetime
