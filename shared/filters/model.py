"""The fields that a filter may name, with their types: the model of what is filtered."""

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple


class ValueType(Enum):
    """The type of a value; the value of the member is its name for people."""

    text = "text"
    integer = "whole number"
    decimal = "number"
    boolean = "true or false"
    time = "time"
    duration = "time span"
    texts = "list of texts"
    integers = "list of whole numbers"

    @property
    def is_number(self) -> bool:
        """Whether it compares with numbers."""
        return self in (ValueType.integer, ValueType.decimal)

    @property
    def element(self) -> "ValueType | None":
        """The type of a list's elements; None if it is no list."""
        return _ELEMENTS.get(self)


_ELEMENTS: Mapping[ValueType, ValueType] = {
    ValueType.texts: ValueType.text,
    ValueType.integers: ValueType.integer,
}


class ModelField(NamedTuple):
    """A field of what is filtered.

    Attributes:
        path: as filters write it, such as `change.score`.
        attributes: names of the attributes that lead to its value in Python.
        phrase: its name in a sentence, such as `the score`.
        is_optional: whether it may be absent, which is None in Python. A list never is.
        is_shared: whether all subjects of a call have it in common; its attributes are then those
            of the environment.
    """

    path: str
    type: ValueType
    attributes: tuple[str, ...]
    phrase: str
    is_optional: bool = False
    is_shared: bool = False


class FilterModel:
    """All fields that a filter may name."""

    def __init__(self, fields: Iterable[ModelField]) -> None:
        self._fields = {field.path: field for field in fields}
        for field in self._fields.values():
            if field.is_optional and field.type.element is not None:
                raise ValueError(f"{field.path}: a list is empty, never absent")

    @property
    def fields(self) -> Mapping[str, ModelField]:
        """The fields by their paths."""
        return self._fields

    def field(self, path: str) -> ModelField | None:
        """The field of a path, if there is one."""
        return self._fields.get(path)

    def nearest(self, path: str) -> str | None:
        """The path that somebody may have meant."""
        close = difflib.get_close_matches(path.lower(), self._fields, n=1, cutoff=0.6)
        if close:
            return close[0]
        last = path.rpartition(".")[2]
        return next((name for name in self._fields if name.rpartition(".")[2] == last), None)
