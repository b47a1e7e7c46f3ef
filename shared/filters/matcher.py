"""From conditions to a Python function: one expression, compiled once, applied to many.

The source is written from the tree alone. Names of attributes come from the model, and constants
are bound to names of their own, so that nothing of the filter's text becomes code.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final, Protocol

from shared.filters.conditions import (
    Always,
    Condition,
    Conjunction,
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
)
from shared.filters.literals import pattern
from shared.filters.text_tests import domain_test, network_test

_METHODS: Final = {"startsWith": "startswith", "endsWith": "endswith"}


class Watchlist(Protocol):
    """Values that somebody watches."""

    def __contains__(self, value: object) -> bool:
        """Whether it holds a value."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a filter may ask beside the fields.

    Attributes:
        now: the moment at which it is applied.
        watchlists: by name; one that is missing holds nothing.
    """

    now: datetime
    watchlists: Mapping[str, Watchlist] = field(default_factory=dict)


Matcher = Callable[[Any, Any], bool]
"""Whether a filter matches a subject, whose attributes are those that the model names, in an
`Environment`, or in an object with its attributes and those of the model's shared fields."""

Selector = Callable[[Iterable[Any], Any], list[Any]]
"""The subjects of many that a filter matches, in their order."""


def compile_matcher(condition: Condition) -> Matcher:
    """Make the function of a condition. It raises nothing for a subject of the model's types."""
    writer = _Writer()
    expression = writer.holds(condition)
    lines = [f"    {name} = {source}" for source, name in writer.loads.items()]
    lines = ["def matches(subject, environment):", *lines, f"    return {expression}"]
    matcher: Matcher = _compiled(lines, writer.constants)["matches"]
    return matcher


def compile_selector(condition: Condition) -> Selector:
    """Make the function of a condition for many subjects at once: a loop without calls."""
    writer = _Writer()
    expression = writer.holds(condition)
    loads = [
        (f"{name} = {source}", source.startswith("subject."))
        for source, name in writer.loads.items()
    ]
    lines = [
        "def select(subjects, environment):",
        *[f"    {line}" for line, is_own in loads if not is_own],
        "    selected = []",
        "    for subject in subjects:",
        *[f"        {line}" for line, is_own in loads if is_own],
        f"        if {expression}:",
        "            selected.append(subject)",
        "    return selected",
    ]
    selector: Selector = _compiled(lines, writer.constants)["select"]
    return selector


def _compiled(lines: list[str], constants: Mapping[str, object]) -> dict[str, Any]:
    """The names that source text defines, which may use constants and three built-in functions."""
    names: dict[str, Any] = {"__builtins__": {"any": any, "all": all, "len": len}, **constants}
    exec(compile("\n".join(lines), "<filter>", "exec"), names)  # noqa: S102  # see the docstring
    return names


class _Writer:
    """Writes conditions as Python expressions.

    Attributes:
        constants: name -> object, which the source refers to.
        loads: source of an attribute or of a watchlist -> the local that it is loaded into.
    """

    def __init__(self) -> None:
        self.constants: dict[str, object] = {}
        self.loads: dict[str, str] = {}
        self._numbers = count()

    def holds(self, condition: Condition) -> str:
        """The expression that is true when the condition is."""
        match condition:
            case Conjunction(parts):
                return _joined(" and ", [self.holds(part) for part in parts])
            case Disjunction(parts):
                return _joined(" or ", [self.holds(part) for part in parts])
            case Negation(part):
                return self.fails(part)
            case SomeElement(values, variable, part):
                return f"any({self.holds(part)} for {_local(variable)} in {self._load(values)})"
            case EveryElement(values, variable, part):
                return f"all({self.holds(part)} for {_local(variable)} in {self._load(values)})"
        return self._test(condition, is_negated=False)

    def fails(self, condition: Condition) -> str:
        """The expression that is true when the condition is false."""
        match condition:
            case Conjunction(parts):
                return _joined(" or ", [self.fails(part) for part in parts])
            case Disjunction(parts):
                return _joined(" and ", [self.fails(part) for part in parts])
            case Negation(part):
                return self.holds(part)
            case SomeElement(values, variable, part):
                return f"all({self.fails(part)} for {_local(variable)} in {self._load(values)})"
            case EveryElement(values, variable, part):
                return f"any({self.fails(part)} for {_local(variable)} in {self._load(values)})"
        return self._test(condition, is_negated=True)

    def _test(self, condition: Condition, *, is_negated: bool) -> str:
        """A condition without parts: all its values are there, and the test is true or false."""
        if isinstance(condition, Always):
            return str(condition.is_true is not is_negated)
        if isinstance(condition, Presence):
            return f"({self._load(condition.value)} is {'' if is_negated else 'not '}None)"
        values, test = self._values_and_test(condition)
        guards = [
            f"{self._load(part)} is not None" for value in values for part in absent_fields(value)
        ]
        return _joined(" and ", [*guards, f"not ({test})" if is_negated else test])

    def _values_and_test(self, condition: Condition) -> tuple[tuple[Value, ...], str]:
        match condition:
            case Flag(value):
                return (value,), self._value(value)
            case ValueComparison(operator, left, right):
                return (left, right), f"{self._value(left)} {operator} {self._value(right)}"
            case Membership(member, constants):
                constant = self._constant(frozenset(constants))
                return (member,), f"{self._value(member)} in {constant}"
            case ListMembership(member, values):
                return (member,), f"{self._value(member)} in {self._value(values)}"
        return self._subject_and_test(condition)

    def _subject_and_test(self, condition: Condition) -> tuple[tuple[Value, ...], str]:
        """A condition about one text."""
        match condition:
            case TextTest(name, subject, argument):
                test = self._text_test(name, self._value(subject), argument)
            case WithinNetwork(subject, network):
                test = f"{self._constant(network_test(network))}({self._value(subject)})"
            case UnderDomain(subject, domain):
                test = f"{self._constant(domain_test(domain))}({self._value(subject)})"
            case Watched(subject, watchlist):
                key = self._constant(watchlist)
                values = self._local(f"environment.watchlists.get({key}, ())")
                test = f"{self._value(subject)} in {values}"
            case _:
                raise TypeError(f"no test is written for {condition!r}")
        return (subject,), test

    def _text_test(self, test: str, subject: str, argument: str) -> str:
        if test == "matches":
            return f"{self._constant(pattern(argument))}.search({subject}) is not None"
        constant = self._constant(argument)
        if test == "contains":
            return f"{constant} in {subject}"
        return f"{subject}.{_METHODS[test]}({constant})"

    def _value(self, value: Value) -> str:
        match value:
            case FieldValue():
                source = self._load(value)
            case ElementValue():
                source = _local(value)
            case ConstantValue(constant):
                source = self._constant(constant)
            case Size(subject):
                source = f"len({self._value(subject)})"
            case Now(offset):
                if not offset:
                    source = self._local("environment.now")
                source = self._local(f"environment.now + {self._constant(offset)}")
            case Elapsed(later, earlier):
                source = f"({self._value(later)} - {self._value(earlier)})"
        return source

    def _load(self, value: FieldValue) -> str:
        owner = "environment" if value.field.is_shared else "subject"
        return self._local(".".join((owner, *value.field.attributes)))

    def _local(self, source: str) -> str:
        return self.loads.setdefault(source, f"v{len(self.loads)}")

    def _constant(self, value: object) -> str:
        name = f"c{next(self._numbers)}"
        self.constants[name] = value
        return name


def _local(variable: ElementValue) -> str:
    return f"e{variable.depth}"


def _joined(operator: str, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({operator.join(parts)})"
