"""The words in which a feed is described."""

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field

from shared.errors import InvalidInput

FeedName = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/()+-]*$")
]
Origin = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Whose observations a feed publishes, in lower case: `abuse.ch`."""
FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f/]+$")]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Url = Annotated[str, Field(max_length=2048, pattern=r"^https?://")]
Reliability = Literal["A", "B", "C", "D", "E", "F"]
FeedKind = Literal["snapshot", "stream"]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
PluginName = Annotated[str, Field(max_length=100)]
FormatOptions = dict[str, Any]
"""Options of a format, which checks them itself."""

RELIABILITY_PERCENT: Final[dict[Reliability, int]] = {
    "A": 100,
    "B": 80,
    "C": 60,
    "D": 40,
    "E": 20,
    "F": 50,
}
"""The Admiralty code's grades (NATO AJP-2.1) as percentages.

F, "cannot be judged", sits in the middle.
"""


def parse_options(text: str | None) -> FormatOptions | None:
    """A format's options, as a query parameter gives them.

    Raises:
        InvalidInput: they are not a JSON object.
    """
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"options is not a JSON object: {error}", field="options") from error
