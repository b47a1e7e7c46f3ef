"""The forms that pages send: bounded, and kept so that a page can show them again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from shared.errors import InvalidInput, TooLargeInput

MAX_FORM: Final = 4 << 20
"""Bytes: a report of a megabyte, with every character escaped."""
_MAX_FIELDS: Final = 12_000
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


class FormFields:
    """The fields of a form, with what was typed."""

    def __init__(self, fields: Mapping[str, list[str]] | None = None) -> None:
        self._fields = dict(fields or {})

    def text(self, name: str, default: str = "") -> str:
        """The trimmed text of a field."""
        return self.raw(name, default).strip()

    def raw(self, name: str, default: str = "") -> str:
        """The text of a field as it was typed."""
        values = self._fields.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        """All values of a field, such as check boxes."""
        return [value for value in self._fields.get(name, []) if value]

    def words(self, name: str) -> list[str]:
        """The words of a field that are separated by commas, blanks or lines."""
        return self.raw(name).replace(",", " ").split()

    def flag(self, name: str) -> bool:
        """Whether a check box is set."""
        return bool(self._fields.get(name))

    def number(self, name: str, label: str) -> int | None:
        """The whole number of a field; None if it is empty.

        Raises:
            InvalidInput: it is no whole number.
        """
        text = self.text(name)
        if not text:
            return None
        if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 12:
            raise InvalidInput(f"{label}: write a whole number.", field=name)
        return int(text)


def utc_moment(text: str) -> str:
    """A moment of a form, which is in UTC, as RFC 3339 has it; what is none stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


async def read_form(request: Request) -> FormFields:
    """Read a form.

    Raises:
        TooLargeInput: it has too many bytes or fields.
        InvalidInput: it is no form, or not whole.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM_TYPE:
        raise InvalidInput("Send a form.", field="body")
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_FORM:
                raise TooLargeInput(f"A form has {MAX_FORM:,} bytes at most.", field="body")
    except ClientDisconnect:
        raise InvalidInput("The form ended before it was whole.", field="body") from None
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except UnicodeDecodeError:
        raise InvalidInput("The form is not UTF-8.", field="body") from None
    except ValueError:
        message = f"A form has {_MAX_FIELDS:,} fields at most."
        raise TooLargeInput(message, field="body") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return FormFields(fields)
