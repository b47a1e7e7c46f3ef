"""What a migration may do, while processes of the version before still run.

Old code must go on reading and writing what a new migration leaves, and nobody may wait behind it
for long. Migrations up to `FIRST_RULED` are older than these rules and stay as they are. A
migration that has to break a rule says why, by the rule's name::

    REASONS = {"drop": "No version has read this column since 0.1."}
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conventions.rules import ROOT

FIRST_RULED = {
    "feeds": 4,
    "mitre": 4,
    "notifications": 3,
    "observables": 13,
    "scheduler": 2,
    "gateway": 2,
}
"""The first migration of each service that keeps the rules."""

_SQL = {
    "drop": re.compile(r"\bDROP\s+(?:TABLE|COLUMN|SCHEMA|TYPE|FUNCTION|VIEW)\b", re.IGNORECASE),
    "rename": re.compile(r"\bRENAME\b", re.IGNORECASE),
    "tighten": re.compile(r"\bSET\s+NOT\s+NULL\b|\bCOLUMN\s+\w+\s+TYPE\b", re.IGNORECASE),
    "lock": re.compile(r"\bLOCK\s+TABLE\b|\bTRUNCATE\s+\w", re.IGNORECASE),
    "index": re.compile(r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\b(?!\s+CONCURRENTLY)", re.IGNORECASE),
}
_CALLS = {
    "drop_table": "drop",
    "drop_column": "drop",
    "rename_table": "rename",
    "create_unique_constraint": "lock",
    "create_foreign_key": "lock",
    "create_exclude_constraint": "lock",
    "create_primary_key": "lock",
}


def ruled_migrations() -> Iterator[Path]:
    """Every migration that has to keep the rules."""
    for service, number in FIRST_RULED.items():
        for file in sorted((ROOT / "services" / service / "migrations").glob("[0-9]*_*.py")):
            if int(file.name[:4]) >= number:
                yield file


def broken_rules(text: str) -> list[tuple[int, str]]:
    """Line and name of each rule that a migration breaks without a reason."""
    tree = ast.parse(text)
    reasons = _reasons(tree)
    broken = sorted({*_broken_calls(tree), *_broken_sql(tree), *_mixed(tree)})
    return [(line, rule) for line, rule in broken if rule not in reasons]


def _reasons(tree: ast.Module) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REASONS":
            reasons: dict[str, str] = ast.literal_eval(node.value)
            return {rule: reason for rule, reason in reasons.items() if len(reason.split()) > 3}
    return {}


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func).rpartition(".")[2]


def _broken_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    created = {_text(call.args[0]) for call, name in _calls(tree) if name == "create_table"}
    for call, name in _calls(tree):
        if name in _CALLS:
            yield call.lineno, _CALLS[name]
        elif name == "alter_column":
            yield from _broken_alteration(call)
        elif name == "add_column" and _demands_value(call):
            yield call.lineno, "tighten"
        elif name == "create_index" and _text(call.args[1]) not in created:
            yield call.lineno, "index"


def _broken_alteration(call: ast.Call) -> Iterator[tuple[int, str]]:
    options = _options(call)
    if "new_column_name" in options:
        yield call.lineno, "rename"
    if "type_" in options or options.get("nullable") == "False":
        yield call.lineno, "tighten"


def _demands_value(call: ast.Call) -> bool:
    """Whether an added column must be filled by code that does not know it."""
    columns = [column for column, name in _calls(call) if name == "Column"]
    options = [_options(column) for column in columns]
    return any(
        option.get("nullable") == "False" and "server_default" not in option for option in options
    )


def _options(call: ast.Call) -> dict[str | None, str]:
    return {word.arg: ast.unparse(word.value) for word in call.keywords}


def _broken_sql(tree: ast.Module) -> Iterator[tuple[int, str]]:
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if id(node) in documentation or not isinstance(node, ast.Constant):
            continue
        if isinstance(node.value, str):
            for rule, pattern in _SQL.items():
                if pattern.search(node.value):
                    yield node.lineno, rule


def _mixed(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """An index that is built while its table is in use cannot share a transaction."""
    names = {name for _, name in _calls(tree)}
    if "build_index" in names and len(names) > 1:
        yield 1, "mixed"


def _text(node: ast.AST) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def violations(files: Iterable[Path]) -> Iterator[str]:
    """All that breaks a rule, as `path:line: rule`."""
    for file in files:
        for line, rule in broken_rules(file.read_text()):
            yield f"{file.relative_to(ROOT)}:{line}: {rule}"
