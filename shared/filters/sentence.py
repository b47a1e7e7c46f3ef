"""From conditions to a plain sentence, for the person who reads a rule."""

from datetime import datetime, timedelta
from typing import Final

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
    type_of,
)
from shared.filters.model import ValueType

_COMPARED: Final = {
    "==": ("is", "is not"),
    "!=": ("is not", "is"),
    ">=": ("is at least", "is below"),
    ">": ("is above", "is at most"),
    "<=": ("is at most", "is above"),
    "<": ("is below", "is at least"),
}
_TIMES: Final = {
    ">=": ("is not before", "is before"),
    ">": ("is after", "is not after"),
    "<=": ("is not after", "is after"),
    "<": ("is before", "is not before"),
}
_TEXT_TESTS: Final = {
    "startsWith": ("begins with", "does not begin with"),
    "endsWith": ("ends with", "does not end with"),
    "contains": ("contains", "does not contain"),
    "matches": ("matches the pattern", "does not match the pattern"),
}


def describe(condition: Condition) -> str:
    """Say when a filter matches, as the part of a sentence that follows "when"."""
    return _clause(condition, is_negated=False, within=None)


def _clause(condition: Condition, *, is_negated: bool, within: str | None) -> str:
    """A condition, or its opposite.

    Args:
        condition: what to say.
        is_negated: whether to say its opposite.
        within: the word that joins it to its neighbours; another word inside asks for brackets.
    """
    match condition:
        case Negation(part):
            return _clause(part, is_negated=not is_negated, within=within)
        case Conjunction(parts):
            word = "or" if is_negated else "and"
            return _joined(parts, word, is_negated=is_negated, within=within)
        case Disjunction(parts):
            word = "and" if is_negated else "or"
            return _joined(parts, word, is_negated=is_negated, within=within)
        case SomeElement(values, variable, part):
            amount = "every" if is_negated else "some"
            inner = _clause(part, is_negated=is_negated, within="element")
            return f"of {_phrase(values)}, {amount} {variable.name} is such that {inner}"
        case EveryElement(values, variable, part):
            amount = "some" if is_negated else "every"
            inner = _clause(part, is_negated=is_negated, within="element")
            return f"of {_phrase(values)}, {amount} {variable.name} is such that {inner}"
    return _test(condition, is_negated=is_negated)


def _joined(
    parts: tuple[Condition, ...], word: str, *, is_negated: bool, within: str | None
) -> str:
    clauses = [_clause(part, is_negated=is_negated, within=word) for part in parts]
    text = f", {word} ".join(clauses) if len(clauses) > 2 else f" {word} ".join(clauses)
    return f"({text})" if within not in (None, word) else text


def _test(condition: Condition, *, is_negated: bool) -> str:
    match condition:
        case Always(is_true):
            clause = "anything happens" if is_true is not is_negated else "nothing ever does"
        case Flag(value):
            clause = f"{_phrase(value)} is {'false' if is_negated else 'true'}"
        case Presence(value):
            clause = f"{_phrase(value)} is {'absent' if is_negated else 'there'}"
        case ValueComparison(operator, left, right):
            words = _TIMES if type_of(left) is ValueType.time else _COMPARED
            pair = words.get(operator, _COMPARED[operator])
            clause = f"{_phrase(left)} {pair[is_negated]} {_phrase(right)}"
        case Membership(member, constants):
            clause = _among(member, constants, is_negated=is_negated)
        case ListMembership(member, values):
            verb = "do not include" if is_negated else "include"
            clause = f"{_phrase(values)} {verb} {_phrase(member)}"
        case _:
            clause = _text_clause(condition, is_negated=is_negated)
    return clause


def _text_clause(condition: Condition, *, is_negated: bool) -> str:
    verb = "is not" if is_negated else "is"
    match condition:
        case TextTest(test, subject, argument):
            return f'{_phrase(subject)} {_TEXT_TESTS[test][is_negated]} "{argument}"'
        case WithinNetwork(subject, network):
            return f"{_phrase(subject)} {verb} in the network {network}"
        case UnderDomain(subject, domain):
            return f"{_phrase(subject)} {verb} {domain} or below it"
        case Watched(subject, watchlist):
            return f'{_phrase(subject)} {verb} on the watchlist "{watchlist}"'
    raise TypeError(f"no clause is written for {condition!r}")


def _among(member: Value, constants: tuple[Constant, ...], *, is_negated: bool) -> str:
    verb = "is not" if is_negated else "is"
    words = [_constant(constant) for constant in constants]
    if not words:
        return f"{_phrase(member)} {verb} of an empty list"
    choice = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    return f"{_phrase(member)} {verb} {choice}"


def _phrase(value: Value) -> str:
    match value:
        case FieldValue(field):
            return field.phrase
        case ElementValue(name, _, _):
            return name
        case ConstantValue(constant):
            return _constant(constant)
        case Size(subject):
            length = "length" if type_of(subject) is ValueType.text else "number"
            return f"the {length} of {_phrase(subject)}"
        case Now(offset):
            return _moment(offset)
        case Elapsed(later, earlier):
            return f"the time from {_phrase(earlier)} to {_phrase(later)}"


def _moment(offset: timedelta) -> str:
    if not offset:
        return "now"
    if offset < timedelta():
        return f"{_span(-offset)} ago"
    return f"{_span(offset)} from now"


def _constant(constant: Constant) -> str:
    if isinstance(constant, bool):
        return "true" if constant else "false"
    if isinstance(constant, datetime):
        return f"{constant:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(constant, timedelta):
        return _span(constant)
    return constant if isinstance(constant, str) and constant else repr(constant)


def _span(span: timedelta) -> str:
    if span < timedelta():
        return f"minus {_span(-span)}"
    seconds = span.total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        amount = seconds / length
        if amount >= 1 and amount.is_integer():
            return f"{int(amount)} {unit}{'' if amount == 1 else 's'}"
    return f"{seconds:g} seconds"
