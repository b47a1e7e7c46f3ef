"""The tree of a filter that was checked: conditions over values, each with its type.

All constants are of the type that they are compared with. Back ends walk this tree alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from shared.filters.model import ModelField, ValueType

Constant = str | int | float | bool | datetime | timedelta
ComparisonOperator = Literal["==", "!=", "<", "<=", ">", ">="]
TextTestName = Literal["startsWith", "endsWith", "contains", "matches"]
Network = IPv4Network | IPv6Network


# Values


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The value of a field."""

    field: ModelField


@dataclass(frozen=True, slots=True)
class ElementValue:
    """An element of the list that an enclosing `exists` or `all` walks over.

    Attributes:
        name: the variable's, as the filter writes it.
        depth: how many `exists` and `all` enclose the one that it belongs to.
    """

    name: str
    depth: int
    type: ValueType


@dataclass(frozen=True, slots=True)
class ConstantValue:
    """A value that the filter states."""

    value: Constant


@dataclass(frozen=True, slots=True)
class Size:
    """The number of a text's characters or of a list's elements."""

    subject: "FieldValue | ElementValue"


@dataclass(frozen=True, slots=True)
class Now:
    """The moment at which the filter is applied, moved by a time span."""

    offset: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time span between two times."""

    later: "FieldValue | Now | ConstantValue"
    earlier: "FieldValue | Now | ConstantValue"


Value = FieldValue | ElementValue | ConstantValue | Size | Now | Elapsed
Subject = FieldValue | ElementValue
"""What functions of texts are applied to."""


# Conditions


@dataclass(frozen=True, slots=True)
class Always:
    """What is true, or false, of all."""

    is_true: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """A field that is true or false."""

    value: FieldValue


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether an optional field is there."""

    value: FieldValue


@dataclass(frozen=True, slots=True)
class Negation:
    """Whether a condition is not true: of an absent field neither is."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Whether all of some conditions are true."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Disjunction:
    """Whether at least one of some conditions is true."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class ValueComparison:
    """Two values of types that compare."""

    operator: ComparisonOperator
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a value is among constants."""

    member: Value
    constants: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class ListMembership:
    """Whether a list holds a value."""

    member: Value
    values: FieldValue


@dataclass(frozen=True, slots=True)
class TextTest:
    """What a text begins with, ends with, or contains."""

    test: TextTestName
    subject: Subject
    argument: str


@dataclass(frozen=True, slots=True)
class WithinNetwork:
    """Whether a text is an address, or a network, inside a network; other texts are not."""

    subject: Subject
    network: Network


@dataclass(frozen=True, slots=True)
class UnderDomain:
    """Whether a name, or the host of a URL or an e-mail address, is a domain or below it."""

    subject: Subject
    domain: str


@dataclass(frozen=True, slots=True)
class Watched:
    """Whether a watchlist holds a value."""

    subject: Subject
    watchlist: str


@dataclass(frozen=True, slots=True)
class SomeElement:
    """Whether a condition is true of some element of a list."""

    values: FieldValue
    variable: ElementValue
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class EveryElement:
    """Whether a condition is true of every element of a list."""

    values: FieldValue
    variable: ElementValue
    condition: "Condition"


Condition = (
    Always
    | Flag
    | Presence
    | Negation
    | Conjunction
    | Disjunction
    | ValueComparison
    | Membership
    | ListMembership
    | TextTest
    | WithinNetwork
    | UnderDomain
    | Watched
    | SomeElement
    | EveryElement
)


def type_of(value: Value) -> ValueType:
    """The type of a value."""
    if isinstance(value, FieldValue):
        return value.field.type
    if isinstance(value, ElementValue):
        return value.type
    if isinstance(value, ConstantValue):
        return _CONSTANT_TYPES[type(value.value)]
    if isinstance(value, Size):
        return ValueType.integer
    return ValueType.time if isinstance(value, Now) else ValueType.duration


_CONSTANT_TYPES = {
    str: ValueType.text,
    int: ValueType.integer,
    float: ValueType.decimal,
    bool: ValueType.boolean,
    datetime: ValueType.time,
    timedelta: ValueType.duration,
}


def absent_fields(value: Value) -> list[FieldValue]:
    """The fields in a value that may be absent; then the value is, too."""
    if isinstance(value, FieldValue):
        return [value] if value.field.is_optional else []
    if isinstance(value, Size):
        return absent_fields(value.subject)
    if isinstance(value, Elapsed):
        return [*absent_fields(value.later), *absent_fields(value.earlier)]
    return []
