"""Checking a filter against a model: names get their fields, values their types."""

from typing import Final, cast

from shared.filters.conditions import (
    Always,
    ComparisonOperator,
    Condition,
    Conjunction,
    Constant,
    ConstantValue,
    Disjunction,
    ElementValue,
    EveryElement,
    FieldValue,
    Flag,
    ListMembership,
    Membership,
    Negation,
    Presence,
    SomeElement,
    Subject,
    TextTest,
    TextTestName,
    UnderDomain,
    Value,
    ValueComparison,
    Watched,
    WithinNetwork,
    type_of,
)
from shared.filters.errors import FilterError
from shared.filters.literals import domain, network, pattern
from shared.filters.model import FilterModel, ValueType
from shared.filters.syntax import Binary, Call, ListOf, Literal, Node, Path, Unary
from shared.filters.values import Scope, ValueReader, read_argument, text_argument

_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
ELEMENTS: Final = 100
"""The length of a list that steps are counted with; few observables have more tags."""
MAX_STEPS: Final = 20_000
"""Limit of the conditions that are evaluated for one subject: a millisecond or two. `exists` within
`exists` multiplies them, so that a text of a few hundred characters would never end."""
_MEMBERSHIP: Final = 10
"""Steps of looking for a value in a list of that length."""
_CONDITION_CALLS: Final = (
    "has(field)",
    "text.startsWith(text)",
    "text.endsWith(text)",
    "text.contains(text)",
    "text.matches(pattern)",
    "text.under(domain)",
    "cidr(network).containsIP(text)",
    "list.exists(x, condition)",
    "list.all(x, condition)",
)


def check(text: str, node: Node, model: FilterModel) -> Condition:
    """Turn the tree of a filter into conditions over a model's fields.

    Args:
        text: the filter, for messages.
        node: its tree.
        model: the fields that there are.

    Raises:
        FilterError: it names what there is not, or compares what does not compare.
    """
    return _Checker(text, model).condition(node, {})


class _Checker:
    def __init__(self, text: str, model: FilterModel) -> None:
        self._text = text
        self._values = ValueReader(text, model)
        self._steps = 0

    def condition(self, node: Node, scope: Scope) -> Condition:
        self._count_steps(node, ELEMENTS ** len(scope))
        if isinstance(node, Literal) and isinstance(node.value, bool):
            return Always(node.value)
        if isinstance(node, Unary) and node.operator == "!":
            return Negation(self.condition(node.operand, scope))
        if isinstance(node, Binary):
            return self._binary(node, scope)
        if isinstance(node, Call):
            return self._call(node, scope)
        if isinstance(node, Path):
            value = self._values.value(node, scope)
            if isinstance(value, FieldValue) and value.field.type is ValueType.boolean:
                return Flag(value)
            raise self._error(f"{node.text} is a {type_of(value).value}: compare it.", node)
        raise self._error("A condition is due here, not a value.", node)

    def _binary(self, node: Binary, scope: Scope) -> Condition:
        if node.operator in ("&&", "||"):
            parts = tuple(self.condition(part, scope) for part in _chain(node))
            return Conjunction(parts) if node.operator == "&&" else Disjunction(parts)
        if node.operator in _COMPARISONS:
            return self._comparison(node, scope)
        if node.operator == "in":
            return self._membership(node, scope)
        raise self._error("A condition is due here, not a value.", node)

    def _comparison(self, node: Binary, scope: Scope) -> Condition:
        left = self._values.value(node.left, scope)
        right = self._values.value(node.right, scope)
        self._check_comparable(node, left, right)
        return ValueComparison(cast("ComparisonOperator", node.operator), left, right)

    def _check_comparable(self, node: Binary, left: Value, right: Value) -> None:
        left_type = type_of(left)
        right_type = type_of(right)
        if left_type.element is not None or right_type.element is not None:
            reason = "A list does not compare; write `value in list` or list.exists(x, …)."
            raise self._error(reason, node)
        if left_type is not right_type and not (left_type.is_number and right_type.is_number):
            reason = f"A {left_type.value} does not compare with a {right_type.value}."
            raise self._error(reason + _advice(left_type, right_type), node)
        if left_type is ValueType.boolean and node.operator not in ("==", "!="):
            raise self._error("True and false have no order.", node)

    def _membership(self, node: Binary, scope: Scope) -> Condition:
        if isinstance(node.right, Call) and node.right.function == "watchlist":
            subject = self._subject(node.left, scope)
            return Watched(subject, text_argument(self._text, node.right))
        member = self._values.value(node.left, scope)
        if isinstance(node.right, ListOf):
            constants = [self._constant(item, member) for item in node.right.items]
            return Membership(member, tuple(constants))
        values = self._values.value(node.right, scope)
        element = type_of(values).element
        if not isinstance(values, FieldValue) or element is None:
            raise self._error("After `in` a list is due, or watchlist(name).", node.right)
        if type_of(member) is not element:
            reason = f"A {type_of(values).value} holds no {type_of(member).value}."
            raise self._error(reason, node)
        self._count_steps(node, _MEMBERSHIP * ELEMENTS ** len(scope))
        return ListMembership(member, values)

    def _constant(self, node: Node, member: Value) -> Constant:
        value = self._values.value(node, {})
        if not isinstance(value, ConstantValue):
            raise self._error("A list in a filter has constants only.", node)
        expected = type_of(member)
        actual = type_of(value)
        if actual is not expected and not (actual.is_number and expected.is_number):
            reason = f"This is a {actual.value}, where a {expected.value} is due."
            raise self._error(reason + _advice(expected, actual), node)
        return value.value

    def _call(self, node: Call, scope: Scope) -> Condition:
        if node.function == "has" and node.subject is None:
            return self._presence(node, scope)
        if node.subject is not None:
            if node.function in ("startsWith", "endsWith", "contains", "matches"):
                return self._text_test(node, scope)
            if node.function in ("exists", "all"):
                return self._quantified(node, scope)
            if node.function == "under":
                subject = self._subject(node.subject, scope)
                return UnderDomain(subject, read_argument(self._text, node, domain))
            if node.function == "containsIP":
                return self._within(node, scope)
        raise self._values.unknown_function(node, _CONDITION_CALLS)

    def _presence(self, node: Call, scope: Scope) -> Condition:
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], Path):
            raise self._error("has needs a field: has(change.score_before).", node)
        value = self._values.value(node.arguments[0], scope)
        if not isinstance(value, FieldValue):
            raise self._error("has needs a field: has(change.score_before).", node)
        if value.field.type.element is not None:
            raise self._error("A list is always there; write size(list) > 0.", node)
        return Presence(value) if value.field.is_optional else Always(is_true=True)

    def _text_test(self, node: Call, scope: Scope) -> Condition:
        subject = self._subject(cast("Node", node.subject), scope)
        argument = text_argument(self._text, node)
        if node.function == "matches":
            read_argument(self._text, node, pattern)
        return TextTest(cast("TextTestName", node.function), subject, argument)

    def _within(self, node: Call, scope: Scope) -> Condition:
        cidr = node.subject
        if not isinstance(cidr, Call) or cidr.function != "cidr" or len(node.arguments) != 1:
            raise self._error('Write cidr("192.0.2.0/24").containsIP(field).', node)
        return WithinNetwork(
            self._subject(node.arguments[0], scope), read_argument(self._text, cidr, network)
        )

    def _quantified(self, node: Call, scope: Scope) -> Condition:
        values = self._values.value(cast("Node", node.subject), scope)
        element = type_of(values).element
        if not isinstance(values, FieldValue) or element is None:
            raise self._error(f"{node.function} needs a list before the dot.", node)
        variable = node.arguments[0] if len(node.arguments) == 2 else None
        if not isinstance(variable, Path) or len(variable.names) != 1:
            reason = f"Write list.{node.function}(x, condition), with a name for x."
            raise self._error(reason, node)
        name = variable.names[0]
        item = ElementValue(name, len(scope), element)
        condition = self.condition(node.arguments[1], {**scope, name: item})
        kind = SomeElement if node.function == "exists" else EveryElement
        return kind(values, item, condition)

    def _count_steps(self, node: Node, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            reason = (
                f"This takes more than {MAX_STEPS:,} steps for lists of {ELEMENTS} elements: "
                "`exists`, `all` and `in` within one another multiply. Say it with fewer of them."
            )
            raise self._error(reason, node)

    def _subject(self, node: Node, scope: Scope) -> Subject:
        value = self._values.value(node, scope)
        if not isinstance(value, FieldValue | ElementValue) or type_of(value) is not ValueType.text:
            raise self._error("A field that is a text is due here.", node)
        return value

    def _error(self, reason: str, node: Node) -> FilterError:
        return FilterError(reason, self._text, node.position, node.length)


def _chain(node: Binary) -> list[Node]:
    """The operands of one operator that is repeated, in their order."""
    parts: list[Node] = []
    left: Node = node
    while isinstance(left, Binary) and left.operator == node.operator:
        parts.append(left.right)
        left = left.left
    parts.append(left)
    return parts[::-1]


def _advice(left: ValueType, right: ValueType) -> str:
    types = {left, right}
    if types == {ValueType.time, ValueType.text}:
        return ' Write a time as timestamp("2026-11-30T08:00:00Z").'
    if types == {ValueType.duration, ValueType.text}:
        return ' Write a time span as duration("36h").'
    if ValueType.text in types and any(type_.is_number for type_ in types):
        return " Numbers stand without quotes, texts with them."
    return ""
