"""Reading the values in a filter: fields, constants, sizes, times."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeVar

from shared.filters.conditions import (
    ConstantValue,
    Elapsed,
    ElementValue,
    FieldValue,
    Now,
    Size,
    Value,
    type_of,
)
from shared.filters.errors import FilterError
from shared.filters.literals import MAX_SPAN, moment, time_span
from shared.filters.model import FilterModel, ValueType
from shared.filters.syntax import Binary, Call, ListOf, Literal, Node, Path, Unary

Scope = Mapping[str, ElementValue]
"""The variables of enclosing `exists` and `all`, by name."""

_Read = TypeVar("_Read")

_VALUE_CALLS: Final = (
    "size(value)",
    'duration("36h")',
    'timestamp("2026-11-30T08:00:00Z")',
)


class ValueReader:
    """Reads the values of one filter."""

    def __init__(self, text: str, model: FilterModel) -> None:
        self._text = text
        self._model = model

    def value(self, node: Node, scope: Scope) -> Value:
        """Read a value.

        Raises:
            FilterError: it is a condition, or names what there is not.
        """
        if isinstance(node, Literal):
            return ConstantValue(node.value)
        if isinstance(node, Path):
            return self._named(node, scope)
        if isinstance(node, Unary) and node.operator == "-":
            return self._negative(node)
        if isinstance(node, Call):
            return self._call(node, scope)
        if isinstance(node, Binary) and node.operator in ("+", "-"):
            return self._sum(node, scope)
        if isinstance(node, ListOf):
            raise self._error("A list stands after `in` only.", node)
        raise self._error("A value is due here, not a condition.", node)

    def unknown_function(self, node: Call, functions: Iterable[str]) -> FilterError:
        """The error of a function that there is not, or that is used in another way."""
        usages = (*functions, *_VALUE_CALLS)
        names = {usage.partition("(")[0].rpartition(".")[2]: usage for usage in usages}
        close = difflib.get_close_matches(node.function, names, n=1, cutoff=0.6)
        if node.function in names:
            reason = f"Write {names[node.function]}."
        elif close:
            reason = f"There is no function {node.function}. Did you mean {names[close[0]]}?"
        else:
            reason = f"There is no function {node.function}; there are {', '.join(names)}."
        return self._error(reason, node)

    def _named(self, node: Path, scope: Scope) -> Value:
        if len(node.names) == 1:
            if node.names[0] in scope:
                return scope[node.names[0]]
            if node.names[0] == "now":
                return Now()
        field = self._model.field(node.text)
        if field is not None:
            return FieldValue(field)
        nearest = self._model.nearest(node.text)
        advice = f" Did you mean {nearest}?" if nearest else ""
        raise self._error(f"There is no field {node.text}.{advice}", node)

    def _negative(self, node: Unary) -> Value:
        operand = node.operand
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return ConstantValue(-operand.value)  # type: ignore[operator]  # a number, see above
        raise self._error("Only a number has a minus before it.", node)

    def _call(self, node: Call, scope: Scope) -> Value:
        if node.function == "size":
            return self._size(node, scope)
        if node.subject is None and node.function == "duration":
            return ConstantValue(read_argument(self._text, node, time_span))
        if node.subject is None and node.function == "timestamp":
            return ConstantValue(read_argument(self._text, node, moment))
        if node.subject is None and node.function == "watchlist":
            raise self._error('Write `value in watchlist("name")`.', node)
        raise self.unknown_function(node, ())

    def _size(self, node: Call, scope: Scope) -> Value:
        operands = [*([node.subject] if node.subject else []), *node.arguments]
        if len(operands) == 1:
            value = self.value(operands[0], scope)
            is_list_or_text = type_of(value).element or type_of(value) is ValueType.text
            if isinstance(value, FieldValue | ElementValue) and is_list_or_text:
                return Size(value)
        raise self._error("size needs a field that is a text or a list.", node)

    def _sum(self, node: Binary, scope: Scope) -> Value:
        left = self.value(node.left, scope)
        right = self.value(node.right, scope)
        types = (type_of(left), type_of(right))
        if types == (ValueType.time, ValueType.time) and node.operator == "-":
            # Sizes, elements and time spans are no times.
            return Elapsed(left, right)  # type: ignore[arg-type]
        if types[1] is ValueType.duration and isinstance(right, ConstantValue):
            return self._moved(node, left, right)
        if ValueType.time in types or ValueType.duration in types:
            reason = 'Write now - duration("7d") on the one side, and a time on the other.'
            raise self._error(reason, node)
        raise self._error("Filters do not calculate with numbers and texts.", node)

    def _moved(self, node: Binary, left: Value, right: ConstantValue) -> Value:
        """A time or a time span that a constant time span is added to."""
        span = right.value if isinstance(right.value, timedelta) else timedelta()
        offset = -span if node.operator == "-" else span
        try:
            if isinstance(left, Now) and abs(left.offset + offset) <= MAX_SPAN:
                return Now(left.offset + offset)
            if isinstance(left, ConstantValue):
                return ConstantValue(left.value + offset)  # type: ignore[operator]  # see `_sum`
        except OverflowError:
            raise self._error("The time is in no year that there is.", node) from None
        reason = 'Move the time span to the other side: field > now - duration("7d").'
        raise self._error(reason, node)

    def _error(self, reason: str, node: Node) -> FilterError:
        return FilterError(reason, self._text, node.position, node.length)


def read_argument(text: str, node: Call, reader: Callable[[str], _Read]) -> _Read:
    """Read a call's only argument, a text that stands for something else.

    Raises:
        FilterError: there is another argument, or the text stands for nothing.
    """
    argument = text_argument(text, node)
    try:
        return reader(argument)
    except ValueError as error:
        place = node.arguments[0]
        raise FilterError(str(error), text, place.position, place.length) from error


def text_argument(text: str, node: Call) -> str:
    """A call's only argument, a text in quotes.

    Raises:
        FilterError: it is another.
    """
    argument = node.arguments[0] if len(node.arguments) == 1 else None
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    reason = f'{node.function} needs a text in quotes: {node.function}("…").'
    raise FilterError(reason, text, node.position, node.length)
