"""What a filter requires of single fields, so that many filters can be indexed by it.

A filter that is true only when `observable.type` is `url` needs not be tried on anything else.
"""

from collections.abc import Mapping
from typing import Final

from shared.filters.conditions import (
    Condition,
    Conjunction,
    Constant,
    ConstantValue,
    Disjunction,
    FieldValue,
    ListMembership,
    Membership,
    Negation,
    SomeElement,
    UnderDomain,
    Value,
    ValueComparison,
)

UNDER: Final = ".under"
"""Follows the path of a field whose value has to be below one of some domains."""

Requirements = Mapping[str, frozenset[Constant]]
"""Path of a field -> the values, of which it has one whenever the filter matches. The value of a
list is an element."""


def requirements(condition: Condition) -> Requirements:
    """What must be so for a filter to match; what is not named may be anything."""
    return _required(condition, is_negated=False)


def _required(condition: Condition, *, is_negated: bool) -> dict[str, frozenset[Constant]]:
    match condition:
        case Negation(part):
            required = _required(part, is_negated=not is_negated)
        case Conjunction(parts) | Disjunction(parts):
            each = [_required(part, is_negated=is_negated) for part in parts]
            needs_all = isinstance(condition, Conjunction) is not is_negated
            required = _of_all(each) if needs_all else _of_some(each)
        case ValueComparison("==", left, right) if not is_negated:
            required = _equal(left, right)
        case ValueComparison("!=", left, right) if is_negated:
            required = _equal(left, right)
        case Membership(FieldValue(field), constants) if not is_negated:
            required = {field.path: frozenset(constants)}
        case ListMembership(ConstantValue(constant), FieldValue(field)) if not is_negated:
            required = {field.path: frozenset((constant,))}
        case SomeElement(FieldValue(field), variable, Membership(member, constants)) if (
            member == variable and not is_negated
        ):
            required = {field.path: frozenset(constants)}
        case UnderDomain(FieldValue(field), domain) if not is_negated:
            required = {f"{field.path}{UNDER}": frozenset((domain,))}
        case _:
            required = {}
    return required


def _equal(left: Value, right: Value) -> dict[str, frozenset[Constant]]:
    match left, right:
        case (FieldValue(field), ConstantValue(constant)):
            return {field.path: frozenset((constant,))}
        case (ConstantValue(constant), FieldValue(field)):
            return {field.path: frozenset((constant,))}
    return {}


def _of_all(each: list[dict[str, frozenset[Constant]]]) -> dict[str, frozenset[Constant]]:
    """What conditions require that must all be true: of one field the narrowest."""
    required: dict[str, frozenset[Constant]] = {}
    for part in each:
        for path, values in part.items():
            if path not in required or len(values) < len(required[path]):
                required[path] = values
    return required


def _of_some(each: list[dict[str, frozenset[Constant]]]) -> dict[str, frozenset[Constant]]:
    """What conditions require of which one must be true: only what each of them requires."""
    first, *others = each
    required: dict[str, frozenset[Constant]] = {}
    for path, values in first.items():
        if all(path in part for part in others):
            required[path] = values.union(*(part[path] for part in others))
    return required
