"""Import-linter holds the boundaries of the design, and notices a planted violation of each."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = {
    "services do not know each other": (
        "services/feeds/subscriptions/service.py",
        "from services.observables.store import models",
    ),
    "sentineliq stands on services, services on shared": (
        "shared/errors.py",
        "from services.feeds.runs import tasks",
    ),
    "store: edges, services, rows, SQL, plans, tables": (
        "services/observables/store/models.py",
        "from services.observables.store import repository",
    ),
    "observables: the floors of its rooms": (
        "services/observables/store/plan.py",
        "from services.observables.lookup import read_models",
    ),
    "sentineliq: commands know no other but lookup": (
        "sentineliq/cli/commands/events/log.py",
        "from sentineliq.cli.commands import dead",
    ),
    "shared: each part stands on those below it": (
        "shared/errors.py",
        "from shared.kafka import topics",
    ),
    "HTTP leaves only through the guarded client": (
        "services/mitre/releases/service.py",
        "import httpx2",
    ),
    "providers need shared alone": (
        "services/observables/providers/rdap.py",
        "from services.observables.scoring import score",
    ),
}


OPEN_TO_NEW_MODULES = {"services.observables.providers"}
"""Plug-in packages that take a new file without a change of their contract."""


def exhaustive_contracts() -> Iterator[tuple[str, str]]:
    """Name and package of each contract that lists every module of the package."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract.get("exhaustive"):
            for container in contract["containers"]:
                yield contract["name"], container


def room_packages() -> Iterator[str]:
    """Every package below a service, but for its migrations."""
    for file in sorted((ROOT / "services").glob("*/**/__init__.py")):
        package = file.parent.relative_to(ROOT)
        if "migrations" not in package.parts:
            yield ".".join(package.parts)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what import-linter looks at."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in ("services", "shared", "sentineliq"):
        shutil.copytree(
            ROOT / package,
            copy / package,
            ignore=lambda _, names: [n for n in names if not _is_code(n)],
        )
    return copy


def _is_code(name: str) -> bool:
    return name != "__pycache__" and ("." not in name or name.endswith(".py"))


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_boundaries_hold(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("contract", PLANTED)
def test_a_violation_is_noticed(tree: Path, contract: str) -> None:
    name, line = PLANTED[contract]
    file = tree / name
    before = file.read_text()
    file.write_text(f"{before}\n{line}\n")
    try:
        result = lint(tree)
    finally:
        file.write_text(before)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


def test_every_room_has_an_exhaustive_contract() -> None:
    sealed = {package for _, package in exhaustive_contracts()} | OPEN_TO_NEW_MODULES
    assert set(room_packages()) - sealed == set()


def test_a_module_outside_the_anatomy_is_noticed(tree: Path) -> None:
    contracts = dict(exhaustive_contracts())
    planted = [tree / package.replace(".", "/") / "stray.py" for package in contracts.values()]
    for file in planted:
        file.write_text('"""Planted."""\n')
    try:
        result = lint(tree)
    finally:
        for file in planted:
            file.unlink()
    assert [name for name in contracts if f"{name} BROKEN" not in result.stdout] == []
