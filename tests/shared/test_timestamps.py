"""Times in requests are texts, in RFC 3339."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.timestamps import Timestamp

TIME = TypeAdapter(Timestamp)


@pytest.mark.parametrize(
    "text", ["2026-11-30T08:00:00Z", "2026-11-30T09:00:00+01:00", "2026-11-30T08:00:00"]
)
def test_a_text_is_a_time_in_utc(text: str) -> None:
    assert TIME.validate_python(text) == datetime(2026, 11, 30, 8, tzinfo=UTC)


@pytest.mark.parametrize("number", ["0.88", "1764489600", "-1", "1e9", "nan", 0, 0.88, 10**400])
def test_a_number_is_no_time(number: object) -> None:
    with pytest.raises(ValidationError, match="2026-11-30T08:00:00Z"):
        TIME.validate_python(number)


def test_the_document_tells_of_texts_only() -> None:
    assert TIME.json_schema() == {"type": "string", "format": "date-time"}
