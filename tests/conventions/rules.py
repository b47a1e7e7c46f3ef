"""The rules of the house that no linter knows, as functions over source files.

`python tests/conventions/rules.py services/feeds shared` lists what breaks them below some paths.
"""

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("shared", "services", "sentineliq", "bench", "deploy", "tests")
LINE_LENGTH = 100

# fmt: off
BANNED_NAMES = frozenset({
    "one", "ones", "found", "asked", "told", "said", "who", "whom", "whose", "mine", "ours",
    "theirs", "me", "heard", "taken", "given", "made", "wanted", "spoken", "kept", "meant",
    "held", "known", "somebody", "nobody", "anybody", "whoever", "something", "everything",
    "nothing", "thing", "things",
})
# fmt: on
"""Pronouns and participles: a name says what a thing is, a function what it does."""

LIBRARY_NAMES = re.compile(r"\.one\(|@given\(|from hypothesis import .*\bgiven\b")
"""Lines that use a name of a library: SQLAlchemy's `Result.one`, Hypothesis' `given`."""

_SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s"
    r"|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s*\()",
    re.DOTALL,
)
_SQL_CALLS = frozenset({"select", "insert", "update", "delete", "text"})


def source_files(paths: Iterable[str | Path] = PARTS) -> Iterator[Path]:
    """Every Python file below some paths, relative to the root of the tree."""
    for path in paths:
        place = ROOT / path
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def banned_names(text: str) -> Iterator[tuple[int, str]]:
    """Line and message of every use of a banned name as an identifier."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.NAME or token.string not in BANNED_NAMES:
            continue
        uses = [use.span() for use in LIBRARY_NAMES.finditer(token.line)]
        start = token.start[1]
        if not any(first <= start < last for first, last in uses):
            yield token.start[0], f"the name {token.string!r} says nothing: name what it is"


def long_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line and message of every line that is too long; an address in it does not excuse it."""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_LENGTH:
            yield number, f"the line has {len(line)} characters, {LINE_LENGTH} are allowed"


def dense_code(text: str) -> Iterator[tuple[int, str]]:
    """Line and message of statements that save a line at the reader's cost."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            inner = [part for part in ast.walk(node) if part is not node]
            if any(
                isinstance(part, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
                for part in inner
            ):
                yield node.lineno, "a comprehension stands inside a comprehension"
        if _is_tuple_assignment(node):
            yield node.lineno, "a tuple assignment stands for several statements"


def _is_tuple_assignment(node: ast.AST) -> bool:
    """Whether it is `a, b = x, y`; `a, b = b, a` swaps, which no two statements say better."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    target = node.targets[0]
    if not isinstance(target, ast.Tuple):
        return False
    names = sorted(ast.unparse(part) for part in target.elts)
    return names != sorted(ast.unparse(part) for part in node.value.elts)


def is_repository(name: str) -> bool:
    """Whether SQL may stand in a file of `services/`: repositories, models and migrations."""
    parts = Path(name).parts
    return Path(name).stem in {"repository", "models"} or bool(
        {"repository", "migrations"} & set(parts)
    )


def sql_statements(text: str) -> Iterator[tuple[int, str]]:
    """Line and message of every SQL text, and of every statement built with SQLAlchemy."""
    tree = ast.parse(text)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings and _SQL.match(node.value):
                yield node.lineno, "SQL stands outside a repository"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "sa" and node.func.attr in _SQL_CALLS:
                yield node.lineno, f"sa.{node.func.attr} stands outside a repository"


def class_names(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of every public class at the top of a module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.lineno, node.name


def repeated_classes(files: Iterable[Path]) -> Iterator[str]:
    """Places of public classes that share their name with another one."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in files:
        for line, name in class_names(path.read_text()):
            places[name].append(f"{path.relative_to(ROOT)}:{line}")
    for name, owners in sorted(places.items()):
        if len(owners) > 1:
            yield f"{name}: {', '.join(owners)}"


def violations(files: Iterable[Path]) -> Iterator[str]:
    """All that breaks a rule, as `path:line: message`."""
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        checks = [banned_names(text), long_lines(text)]
        if "/migrations/" not in name:
            checks.append(dense_code(text))
        if name.startswith("services/") and not is_repository(name):
            checks.append(sql_statements(text))
        for check in checks:
            for line, message in check:
                yield f"{name}:{line}: {message}"


if __name__ == "__main__":
    for problem in violations(source_files(sys.argv[1:] or PARTS)):
        sys.stdout.write(problem + "\n")
    for problem in repeated_classes(source_files(("shared", "services", "sentineliq", "bench"))):
        sys.stdout.write(problem + "\n")
