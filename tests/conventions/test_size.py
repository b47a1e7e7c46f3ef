"""Small files, small functions. The list of exceptions may only get shorter."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES = 450
FUNCTION_LINES = 60

EXCEPTIONS: dict[str, int] = {}
"""`path` or `path:function` → the lines it may have. Lower a number when it shrinks; add none."""


def sources() -> Iterator[Path]:
    for part in ("shared", "services", "sentineliq", "bench", "deploy", "tests"):
        yield from sorted((ROOT / part).rglob("*.py"))


def sizes() -> Iterator[tuple[str, int, int]]:
    """Name, lines and limit of every file and function; docstrings count, decorators do not."""
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        yield name, text.count("\n"), FILE_LINES
        if path.parent.name == "migrations":
            continue  # a list of statements that never changes again: cutting it up helps nobody
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (
                    f"{name}:{node.name}",
                    (node.end_lineno or 0) - node.lineno + 1,
                    FUNCTION_LINES,
                )


def test_files_and_functions_are_small() -> None:
    large = [
        f"{name} has {lines} lines, {EXCEPTIONS.get(name, limit)} are allowed"
        for name, lines, limit in sizes()
        if lines > EXCEPTIONS.get(name, limit)
    ]
    assert not large, "\n".join(large)


def test_exceptions_are_still_needed() -> None:
    measured = {name: (lines, limit) for name, lines, limit in sizes()}
    for name, allowed in EXCEPTIONS.items():
        lines, limit = measured.get(name, (0, 0))
        assert limit < lines == allowed, f"{name}: lower its number, or take it out"
