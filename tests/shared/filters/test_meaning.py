"""Every back end means the same: the function, SQL, and two other readers of CEL."""

import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from shared.filters.filter import parse_filter
from shared.filters.literals import moment, time_span
from shared.filters.parser import parse
from shared.filters.requirements import UNDER
from shared.filters.syntax import Binary, Call, ListOf, Literal, Node, Path, Unary
from shared.filters.text_tests import domains_above
from tests.shared.filters.sample_model import ENVIRONMENT, MODEL, FilterMaker, Subject

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "-": operator.sub,
}


def value_of(node: Node, names: Mapping[str, Any]) -> Any:
    """A reading of a filter's tree, step by step: None is what CEL calls an error."""
    value: Any
    if isinstance(node, Literal):
        value = node.value
    elif isinstance(node, ListOf):
        value = [value_of(item, names) for item in node.items]
    elif isinstance(node, Path):
        value = names
        for name in node.names:
            value = value.get(name) if isinstance(value, Mapping) else None
    elif isinstance(node, Unary):
        value = _unary(node, names)
    else:
        value = _binary(node, names) if isinstance(node, Binary) else _called(node, names)
    return value


def _unary(node: Unary, names: Mapping[str, Any]) -> Any:
    operand = value_of(node.operand, names)
    if operand is None:
        return None
    return not operand if node.operator == "!" else -operand


def _binary(node: Binary, names: Mapping[str, Any]) -> Any:
    left = value_of(node.left, names)
    right = value_of(node.right, names)
    if node.operator in ("&&", "||"):
        decisive = node.operator == "||"
        if decisive in (left, right):
            return decisive
        return None if None in (left, right) else not decisive
    if left is None or right is None:
        return None
    return left in right if node.operator == "in" else _OPERATORS[node.operator](left, right)


def _called(node: Call, names: Mapping[str, Any]) -> Any:
    if node.function == "has":
        return value_of(node.arguments[0], names) is not None
    if node.function in ("exists", "all"):
        return _quantified(node, names)
    operands = [*([node.subject] if node.subject else []), *node.arguments]
    values = [value_of(operand, names) for operand in operands]
    if None in values:
        return None
    functions = {
        "size": len,
        "duration": time_span,
        "timestamp": moment,
        "startsWith": str.startswith,
        "endsWith": str.endswith,
        "contains": operator.contains,
    }
    return functions[node.function](*values)


def _quantified(node: Call, names: Mapping[str, Any]) -> bool | None:
    variable, condition = node.arguments
    assert isinstance(variable, Path)
    name = variable.names[0]
    items = value_of(cast("Node", node.subject), names)
    results = [value_of(condition, {**names, name: item}) for item in items]
    decisive = node.function == "exists"
    if decisive in results:
        return decisive
    return None if None in results else not decisive


@pytest.mark.parametrize("seed", range(20))
def test_the_function_means_what_the_tree_says(seed: int) -> None:
    maker = FilterMaker(seed)
    outcomes = set()
    for _ in range(150):
        text = maker.condition()
        tree = parse(text)
        filter_ = parse_filter(text, MODEL)
        subjects = [maker.subject() for _ in range(10)]
        matching = []
        for subject in subjects:
            expected = value_of(tree, subject.as_maps()) is True
            outcomes.add(expected)
            assert filter_.matches(subject, ENVIRONMENT) is expected, (text, subject)
            matching += [subject] if expected else []
        assert filter_.selector(subjects, ENVIRONMENT) == matching
    assert outcomes == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_what_a_filter_requires_is_so_whenever_it_matches(seed: int) -> None:
    maker = FilterMaker(seed)
    required = 0
    for _ in range(300):
        filter_ = parse_filter(maker.condition(2), MODEL)
        for _ in range(20):
            subject = maker.subject()
            if not filter_.matches(subject, ENVIRONMENT):
                continue
            for path, values in filter_.requirements.items():
                assert not path.endswith(UNDER)
                field = MODEL.fields[path]
                value = getattr(subject, field.attributes[0])
                present = set(value) if field.type.element else {value}
                assert present & values, (filter_.text, subject)
                required += 1
    assert required > 20


def test_a_domain_is_required_where_names_have_to_be_under_it() -> None:
    filter_ = parse_filter('observable.own && observable.value.under("example.com")', MODEL)
    assert filter_.requirements == {f"observable.value{UNDER}": frozenset({"example.com"})}
    assert domains_above("https://www.example.com/a") == ["www.example.com", "example.com", "com"]


def test_the_narrowest_requirement_counts() -> None:
    text = (
        'observable.type in ["url", "domain-name"] && observable.type == "url"'
        ' && ("a" in observable.tags || "b" in observable.tags) && change.score > 3'
    )
    assert parse_filter(text, MODEL).requirements == {
        "observable.type": frozenset({"url"}),
        "observable.tags": frozenset({"a", "b"}),
    }


def test_two_libraries_of_cel_mean_the_same() -> None:
    rust = pytest.importorskip("cel")
    cpp = pytest.importorskip("cel_expr_python.cel")
    maker = FilterMaker(7)
    environment = cpp.NewEnv(
        variables={
            "observable": cpp.Type("map<string, dyn>"),
            "change": cpp.Type("map<string, dyn>"),
        }
    )
    compared = 0
    for _ in range(400):
        text = maker.condition()
        filter_ = parse_filter(text, MODEL)
        program = rust.compile(text)
        expression = environment.compile(text, disable_check=True)
        for _ in range(10):
            subject = maker.subject()
            maps = subject.as_maps()
            expected = filter_.matches(subject, ENVIRONMENT)
            assert _rust(program, maps) is expected, (text, subject)
            if "_seen" not in text:
                assert _cpp(expression, maps) is expected, (text, subject)
            compared += 1
    assert compared == 4000


def _rust(program: Any, maps: dict[str, Any]) -> bool:
    try:
        return program.execute(maps) is True
    except (KeyError, ValueError, TypeError, RuntimeError):
        return False


def _cpp(expression: Any, maps: dict[str, Any]) -> bool:
    """What the library written in C++ says, which takes no times in maps."""
    observable = {
        name: value for name, value in maps["observable"].items() if not name.endswith("_seen")
    }
    result = expression.eval(data={**maps, "observable": observable})
    assert "Non-CEL value type" not in str(result.value())
    return result.value() is True


def test_a_moment_is_the_environments() -> None:
    filter_ = parse_filter("observable.first_seen == now", MODEL)
    assert filter_.matches(Subject(first_seen=ENVIRONMENT.now), ENVIRONMENT)
    assert not filter_.matches(Subject(first_seen=datetime.max.replace(tzinfo=UTC)), ENVIRONMENT)
