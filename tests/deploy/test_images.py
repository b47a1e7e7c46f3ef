"""What a service imports is in the lock of its image."""

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from shared.settings import SERVICES
from tests.deploy.test_requirements import ROOT, pins

OWN = {"services", "shared", "sentineliq"}


def path_of(module: str) -> Path | None:
    """The file of a module of this repository; None when there is none of that name."""
    stem = ROOT.joinpath(*module.split("."))
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def modules_of(statement: ast.stmt) -> list[str]:
    """What one import statement may name; a name that is no module has no file."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module:
        names = [f"{statement.module}.{alias.name}" for alias in statement.names]
        return [statement.module, *names]
    return []


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Modules that the file imports whenever it is imported itself."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(module for statement in body for module in modules_of(statement))


def parents_of(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def packages_of(service: str) -> Iterator[tuple[str, str]]:
    """(imported package, module that imports it) of everything that the service may import."""
    folder = ROOT / "services" / service
    files = [path for path in folder.rglob("*.py") if "migrations" not in path.parts]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    visited = set(modules)
    while modules:
        importer = modules.pop()
        path = path_of(importer)
        for imported in imports_of(path) if path else ():
            root = imported.partition(".")[0]
            if root not in OWN:
                yield root, importer
                continue
            fresh = set(parents_of(imported)) - visited
            visited |= fresh
            modules += fresh


@pytest.mark.parametrize("service", SERVICES)
def test_the_lock_of_a_service_has_what_it_imports(service: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    locked = {name for name, _ in pins(ROOT / "requirements" / f"{service}.txt")}
    imported = dict(packages_of(service))
    assert "pydantic" in imported
    absent = {
        package: importer
        for package, importer in imported.items()
        if package not in sys.stdlib_module_names
        and locked.isdisjoint(map(canonicalize_name, distributions[package]))
    }
    assert absent == {}
