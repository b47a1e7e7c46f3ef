"""From conditions to an SQL condition for PostgreSQL.

What PostgreSQL does not do as the function does (RE2's patterns, the host of a URL, watchlists) is
widened: the SQL condition then lets rows pass that the function refuses, and never the other way
round. `SqlFilter.is_exact` says whether it was; where it is not, apply the function to the rows.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.sql.elements import ColumnElement

from shared.filters.conditions import (
    Always,
    Condition,
    Conjunction,
    Constant,
    ConstantValue,
    Disjunction,
    Elapsed,
    ElementValue,
    EveryElement,
    FieldValue,
    Flag,
    ListMembership,
    Membership,
    Negation,
    Now,
    Presence,
    Size,
    SomeElement,
    TextTest,
    UnderDomain,
    Value,
    ValueComparison,
    Watched,
    WithinNetwork,
    absent_fields,
    type_of,
)
from shared.filters.matcher import Environment
from shared.filters.model import ValueType

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TYPES: Final[Mapping[ValueType, sa.types.TypeEngine[Any]]] = {
    ValueType.text: sa.Text(),
    ValueType.integer: sa.BigInteger(),
    ValueType.decimal: sa.Double(),
    ValueType.boolean: sa.Boolean(),
    ValueType.time: sa.DateTime(timezone=True),
    ValueType.duration: sa.Interval(),
}


@dataclass(frozen=True, slots=True)
class SqlFilter:
    """A condition for WHERE.

    Attributes:
        is_exact: whether it selects just what the function matches; otherwise more.
    """

    condition: ColumnElement[bool]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class SqlColumns:
    """Where the fields of a model are stored.

    Attributes:
        columns: path -> column. A list is an array that is never NULL.
        addresses: path -> a column of type `inet`, NULL where the text is no address or network.
    """

    columns: Mapping[str, ColumnElement[Any]]
    addresses: Mapping[str, ColumnElement[Any]]


def compile_sql(condition: Condition, columns: SqlColumns, environment: Environment) -> SqlFilter:
    """Make the SQL condition of a filter.

    Args:
        condition: the checked filter.
        columns: those of the fields that it names; a missing one widens the condition.
        environment: its moment becomes a parameter.
    """
    writer = _Writer(columns, environment)
    return SqlFilter(writer.holds(condition), writer.is_exact)


class _Writer:
    """Writes conditions so that each is true or false, and never NULL."""

    def __init__(self, columns: SqlColumns, environment: Environment) -> None:
        self.is_exact = True
        self._columns = columns
        self._now = environment.now

    def holds(self, condition: Condition) -> ColumnElement[bool]:
        match condition:
            case Conjunction(parts):
                return sa.and_(*[self.holds(part) for part in parts])
            case Disjunction(parts):
                return sa.or_(*[self.holds(part) for part in parts])
            case Negation(part):
                return self.fails(part)
            case SomeElement(values, variable, _):
                return self._some(values, variable, self.holds(condition.condition))
            case EveryElement(values, variable, _):
                return self._every(values, variable, self.holds(condition.condition))
        return self._test(condition, is_negated=False)

    def fails(self, condition: Condition) -> ColumnElement[bool]:
        match condition:
            case Conjunction(parts):
                return sa.or_(*[self.fails(part) for part in parts])
            case Disjunction(parts):
                return sa.and_(*[self.fails(part) for part in parts])
            case Negation(part):
                return self.holds(part)
            case SomeElement(values, variable, _):
                return self._every(values, variable, self.fails(condition.condition))
            case EveryElement(values, variable, _):
                return self._some(values, variable, self.fails(condition.condition))
        return self._test(condition, is_negated=True)

    def _some(
        self, values: FieldValue, variable: ElementValue, test: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        elements = self._elements(values, variable)
        if elements is None:
            return self._widened()
        return sa.exists(sa.select(elements).where(test))

    def _every(
        self, values: FieldValue, variable: ElementValue, test: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        elements = self._elements(values, variable)
        if elements is None:
            return self._widened()
        return ~sa.exists(sa.select(elements).where(sa.not_(test)))

    def _elements(self, values: FieldValue, variable: ElementValue) -> Any:
        column = self._columns.columns.get(values.field.path)
        if column is None:
            return None
        # The name of the alias is the variable's own, which `_value` refers to.
        return sa.func.unnest(column).column_valued(_alias(variable))

    def _test(self, condition: Condition, *, is_negated: bool) -> ColumnElement[bool]:
        if isinstance(condition, Always):
            return sa.true() if condition.is_true is not is_negated else sa.false()
        if isinstance(condition, Presence):
            column = self._value(condition.value)
            if column is None:
                return self._widened()
            presence: ColumnElement[bool]
            presence = column.is_(None) if is_negated else column.is_not(None)
            return presence
        values, test = self._values_and_test(condition)
        if test is None:
            return self._widened()
        guards = [
            column.is_not(None)
            for value in values
            for part in absent_fields(value)
            if (column := self._value(part)) is not None
        ]
        return sa.and_(*guards, sa.not_(test) if is_negated else test)

    def _widened(self) -> ColumnElement[bool]:
        self.is_exact = False
        return sa.true()

    def _values_and_test(
        self, condition: Condition
    ) -> tuple[tuple[Value, ...], ColumnElement[bool] | None]:
        match condition:
            case Flag(value):
                return (value,), self._value(value)
            case ValueComparison(symbol, left, right):
                return (left, right), self._comparison(symbol, left, right)
            case Membership(member, constants):
                return (member,), self._among(member, constants)
            case ListMembership(member, values):
                return (member,), self._element_of(member, values)
        return self._subject_and_test(condition)

    def _subject_and_test(
        self, condition: Condition
    ) -> tuple[tuple[Value, ...], ColumnElement[bool] | None]:
        """A condition about one text."""
        test: ColumnElement[bool] | None = None
        match condition:
            case TextTest(name, subject, argument):
                test = self._text_test(name, subject, argument)
            case WithinNetwork(subject, network):
                test = self._within(subject, str(network))
            case UnderDomain(subject, _) | Watched(subject, _):
                pass
            case _:
                raise TypeError(f"no test is written for {condition!r}")
        return (subject,), test

    def _among(self, member: Value, constants: tuple[Constant, ...]) -> ColumnElement[bool] | None:
        column = self._value(member)
        if column is None:
            return None
        type_ = _TYPES[type_of(member)]
        among: ColumnElement[bool] = column.in_([sa.literal(value, type_) for value in constants])
        return among

    def _element_of(self, member: Value, values: FieldValue) -> ColumnElement[bool] | None:
        element = self._value(member)
        column = self._value(values)
        if element is None or column is None:
            return None
        is_element: ColumnElement[bool] = element == sa.any_(column)
        return is_element

    def _comparison(self, symbol: str, left: Value, right: Value) -> ColumnElement[bool] | None:
        first = self._value(left)
        second = self._value(right)
        if first is None or second is None:
            return None
        if type_of(left) is ValueType.text:
            # By code point, as everywhere but in a collation.
            first = sa.collate(first, "C")
        compared: ColumnElement[bool] = _OPERATORS[symbol](first, second)
        return compared

    def _text_test(self, test: str, subject: Value, argument: str) -> ColumnElement[bool] | None:
        column = self._value(subject)
        if column is None or test == "matches":
            return None
        holds: ColumnElement[bool]
        if test == "startsWith":
            holds = column.startswith(argument, autoescape=True)
        elif test == "endsWith":
            holds = column.endswith(argument, autoescape=True)
        else:
            holds = sa.func.strpos(column, sa.literal(argument, sa.Text())) > 0
        return holds

    def _within(self, subject: Value, network: str) -> ColumnElement[bool] | None:
        if not isinstance(subject, FieldValue):
            return None
        column = self._columns.addresses.get(subject.field.path)
        if column is None:
            return None
        is_within = column.op("<<=", is_comparison=True)(sa.cast(network, pg.INET))
        # What is no address is in no network: false, not NULL.
        not_null: ColumnElement[bool] = sa.func.coalesce(is_within, sa.false())
        return not_null

    def _value(self, value: Value) -> Any:
        """The column of a value; None if a field is stored nowhere."""
        match value:
            case FieldValue(field):
                column = self._columns.columns.get(field.path)
            case ElementValue():
                column = sa.literal_column(_alias(value), _TYPES[value.type])
            case ConstantValue(constant):
                column = sa.literal(constant, _TYPES[type_of(value)])
            case Size(subject):
                column = self._size(subject)
            case Now(offset):
                column = sa.literal(self._now + offset, sa.DateTime(timezone=True))
            case Elapsed(later, earlier):
                first = self._value(later)
                second = self._value(earlier)
                column = None if first is None or second is None else first - second
        return column

    def _size(self, subject: Value) -> Any:
        column = self._value(subject)
        if column is None:
            return None
        is_text = type_of(subject) is ValueType.text
        return (sa.func.char_length if is_text else sa.func.cardinality)(column)


def _alias(variable: ElementValue) -> str:
    return f"element_{variable.depth}"
