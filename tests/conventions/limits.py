"""Finds queries that choose some of several rows without saying which: LIMIT without ORDER BY.

Such a query answers otherwise each time PostgreSQL reads the table in another way. It looks at SQL
texts (f-strings and texts in several parts as a whole) and at queries built with SQLAlchemy. A
comment `# any rows: <reason>` on the line of the limit, or right above the statement, excuses one.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_REASON = re.compile(r"#\s*any rows: \w+")
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|[()]|[A-Za-z_]+|%\(|\S")
_SET_OPERATIONS = frozenset({"UNION", "INTERSECT", "EXCEPT"})


def unordered_limits(text: str) -> Iterator[tuple[int, str]]:
    """Line and message of every limit without an order."""
    tree = ast.parse(text)
    lines = text.splitlines()
    for node in _statements(tree):
        number = node.lineno
        if any(_is_excused(lines, place) for place in (number, node.end_lineno or number)):
            continue
        yield number, "LIMIT stands without ORDER BY: which rows is left to chance"


def files_with_queries(root: Path) -> Iterator[Path]:
    """The source files of services and of what they stand on; migrations run once."""
    for part in ("services", "shared", "sentineliq"):
        for path in sorted((root / part).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def _is_excused(lines: list[str], number: int) -> bool:
    if _REASON.search(lines[number - 1]):
        return True
    above = number - 2
    while above >= 0 and lines[above].lstrip().startswith("#"):
        if _REASON.search(lines[above]):
            return True
        above -= 1
    return False


def _statements(tree: ast.Module) -> Iterator[ast.expr]:
    """The texts and queries that break the rule."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) == "limit":
            if not _is_ordered(node, parents):
                yield node
        elif isinstance(node, ast.JoinedStr | ast.Constant):
            if isinstance(parents.get(node), ast.JoinedStr | ast.FormattedValue | ast.Expr):
                continue  # a part of a text, or a docstring
            if _has_unordered_limit(_sql(node)):
                yield node


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _sql(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = (part.value if isinstance(part, ast.Constant) else " x " for part in node.values)
    return "".join(str(part) for part in parts)


def _has_unordered_limit(sql: str) -> bool:
    """Whether a SELECT has a LIMIT and no ORDER BY of its own."""
    if "LIMIT" not in sql or "SELECT" not in sql:
        return False
    # For each open parenthesis: whether an order stands in it since the last SELECT.
    ordered = [False]
    probes = [False]
    before = ""
    for token in _TOKEN.findall(sql):
        if token in {"(", "%("}:
            ordered.append(False)
            probes.append(before == "EXISTS")
        elif token == ")" and len(ordered) > 1:
            ordered.pop()
            probes.pop()
        elif token == "BY" and before == "ORDER":
            ordered[-1] = True
        elif token in _SET_OPERATIONS:
            ordered[-1] = False
        elif token == "LIMIT" and not ordered[-1] and not probes[-1]:
            return True
        before = token
    return False


def _is_ordered(limit: ast.Call, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether the query that a limit is of is ordered: in the chain of calls, or where it grew."""
    top: ast.AST = limit
    while isinstance(parents.get(top), ast.Attribute | ast.Call):
        parent = parents[top]
        if isinstance(parent, ast.Call) and parent.func is not top:
            break  # an argument of another call
        top = parent
    if _orders(top):
        return True
    root: ast.AST = limit
    while isinstance(root, ast.Call | ast.Attribute):
        root = root.func if isinstance(root, ast.Call) else root.value
    return isinstance(root, ast.Name) and any(
        _orders(value) for value in _values_of(root.id, _scopes(limit, parents))
    )


def _orders(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Attribute) and part.attr == "order_by" for part in ast.walk(node)
    )


def _scopes(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    """The function that a node stands in, and its module."""
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            yield node


def _values_of(name: str, scopes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """What is assigned to a name, in the nearest scope that assigns it."""
    for scope in scopes:
        values = [value for node in ast.walk(scope) for value in _assigned(node, name)]
        if values:
            yield from values
            return


def _assigned(node: ast.AST, name: str) -> Iterator[ast.expr]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    for target in targets:
        if isinstance(target, ast.Name) and target.id == name and node.value is not None:
            yield node.value
