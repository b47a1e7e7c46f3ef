"""The list formats by name."""

from functools import cache
from typing import Final

from services.observables.list_formats.base import ListFormat
from services.observables.list_formats.cidr import CidrFormat
from services.observables.list_formats.csv_table import CsvTableFormat
from services.observables.list_formats.json_lines import JsonLinesFormat
from services.observables.list_formats.plain import PlainFormat
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.list_formats"
"""Entry points of this group are classes that implement `ListFormat`."""

_BUILT_IN: Final[tuple[ListFormat, ...]] = (
    PlainFormat(),
    CsvTableFormat(),
    JsonLinesFormat(),
    CidrFormat(),
)


@cache
def list_formats() -> dict[str, ListFormat]:
    """All list formats by name: the built-in ones, then those of installed packages."""
    built_in: dict[str, ListFormat] = {each.name: each for each in _BUILT_IN}
    return built_in | load_plugins(GROUP, built_in)


def list_format_named(name: str) -> ListFormat:
    """Return the format of that name.

    Raises:
        InvalidInput: there is none; the message lists the names.
    """
    list_format = list_formats().get(name)
    if list_format is None:
        names = ", ".join(sorted(list_formats()))
        raise InvalidInput(f"There is no format {name}; there are {names}.", field="format")
    return list_format
