"""The fields that the filter of a list may name."""

from functools import lru_cache
from typing import Final

from shared.errors import InvalidInput
from shared.filters.filter import FilterExpression, parse_filter
from shared.filters.model import FilterModel, ModelField, ValueType

LIST_MODEL: Final = FilterModel(
    (
        ModelField("observable.id", ValueType.text, ("id",), "the STIX id"),
        ModelField("observable.type", ValueType.text, ("type",), "the type"),
        ModelField("observable.value", ValueType.text, ("value",), "the value"),
        ModelField("observable.score", ValueType.integer, ("score",), "the score"),
        ModelField("observable.tags", ValueType.texts, ("tags",), "the tags"),
        ModelField("observable.attack", ValueType.texts, ("attack",), "the ATT&CK ids"),
        ModelField("observable.sources", ValueType.integer, ("sources",), "the number of sources"),
        ModelField("observable.tlp", ValueType.text, ("tlp",), "the marking"),
    )
)
"""What lists filter: an observable as it is now. The attributes are those of a `Change`."""

STORED_FIELDS: Final = frozenset({"observable.type", "observable.value", "observable.score"})
"""Fields that are columns of the table of observables; the others follow from its assertions."""


@lru_cache(maxsize=10_000)
def parse_list_filter(text: str) -> FilterExpression:
    """Read the filter of a list; the same text is read and compiled once.

    Raises:
        InvalidInput: it cannot be used; the message shows the place.
    """
    expression = parse_filter(text, LIST_MODEL)
    if expression.watchlists:
        raise InvalidInput("A list cannot refer to watchlists.", field="filter")
    return expression
