"""The rules of the house hold in the whole tree, and each would notice a violation."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conventions import rules

SERVICES_SHARED = ("shared", "services", "sentineliq", "bench")


def test_the_tree_keeps_the_rules() -> None:
    problems = list(rules.violations(rules.source_files()))
    assert not problems, "\n".join(problems)


def test_a_public_class_name_exists_once() -> None:
    repeated = list(rules.repeated_classes(rules.source_files(SERVICES_SHARED)))
    assert not repeated, "\n".join(repeated)


@pytest.mark.parametrize("name", sorted(rules.BANNED_NAMES))
def test_a_banned_name_is_noticed(name: str) -> None:
    for text in (
        f"{name} = 1\n",
        f"def f({name}): ...\n",
        f"self.{name} = 1\n",
        f"def {name}(): ...\n",
    ):
        assert len(list(rules.banned_names(text))) == 1, text
    assert not list(rules.banned_names(f"is_{name}_too = '{name}'  # {name}\n"))


def test_a_librarys_own_name_is_no_violation() -> None:
    assert not list(rules.banned_names("session.execute(query).one()\n"))


def test_a_long_line_is_noticed() -> None:
    text = f"{'x' * rules.LINE_LENGTH}\n{'x' * (rules.LINE_LENGTH + 1)}\n"
    assert [line for line, _ in rules.long_lines(text)] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "rows = [[cell for cell in row] for row in table]\n",
        "total = sum(cell for row in [list(line) for line in table] for cell in row)\n",
        "first, second = 1, 2\n",
    ],
)
def test_dense_code_is_noticed(text: str) -> None:
    assert len(list(rules.dense_code(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "first, second = second, first\n",
        "first, second = pair\n",
        "rows = [row for row in table]\n",
    ],
)
def test_plain_code_is_no_violation(text: str) -> None:
    assert not list(rules.dense_code(text))


@pytest.mark.parametrize(
    "text",
    [
        'QUERY = "SELECT id FROM observable WHERE tenant = :tenant"\n',
        'session.execute(sa.text(f"UPDATE {table} SET score = 0"))\n',
        "rows = session.execute(sa.select(FEED.c.id))\n",
        'QUERY = "WITH free AS (SELECT 1) INSERT INTO job SELECT * FROM free"\n',
    ],
)
def test_sql_outside_a_repository_is_noticed(text: str) -> None:
    assert list(rules.sql_statements(text))


def test_prose_is_no_sql() -> None:
    text = '"""Select what comes from a feed."""\nMESSAGE = "Select a feed from the list."\n'
    assert not list(rules.sql_statements(text))


@pytest.mark.parametrize(
    ("name", "is_repository"),
    [
        ("services/feeds/runs/repository.py", True),
        ("services/observables/enrichment/repository/jobs.py", True),
        ("services/feeds/runs/models.py", True),
        ("services/feeds/migrations/0001_initial.py", True),
        ("services/feeds/runs/service.py", False),
        ("services/feeds/runs/api.py", False),
    ],
)
def test_repositories_are_told_by_their_place(name: str, is_repository: bool) -> None:
    assert rules.is_repository(name) is is_repository


def test_a_second_class_of_the_same_name_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    paths = [tmp_path / "first.py", tmp_path / "second.py"]
    for path in paths:
        path.write_text("class Report: ...\n\n\nclass _Answer: ...\n")
    assert list(rules.repeated_classes(paths)) == ["Report: first.py:1, second.py:1"]


def test_complexity_above_ten_is_noticed(tmp_path: Path) -> None:
    branches = "".join(f"    if value == {number}:\n        value += 1\n" for number in range(10))
    planted = tmp_path / "planted.py"
    planted.write_text(
        f'"""Planted."""\n\n\ndef planted(value: int) -> int:\n{branches}    return value\n'
    )
    command = [
        str(Path(sys.executable).with_name("ruff")),
        "check",
        "--config",
        str(rules.ROOT / "pyproject.toml"),
        "--output-format=concise",
        str(planted),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "C901" in result.stdout, result.stdout + result.stderr
