"""The command line starts at once: it imports what a command needs, when the command needs it."""

import subprocess
import sys

import pytest

IMPORTED = """
import sys
import {module}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def imported_by(module: str) -> set[str]:
    """The packages that a new process has imported with a module."""
    command = [sys.executable, "-c", IMPORTED.format(module=module)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("sentineliq.cli.app", {"pydantic", "rich", "msgspec", "shared", "psycopg", "redis"}),
        (
            "sentineliq.cli.commands.doctor",
            {"aiokafka", "celery", "joserfc", "kombu", "psycopg", "redis", "sqlalchemy"},
        ),
        (
            "sentineliq.cli.commands.feeds",
            {"aiokafka", "celery", "joserfc", "kombu", "sqlalchemy", "structlog"},
        ),
        (
            "sentineliq.cli.commands.lookup",
            {"aiokafka", "joserfc", "pydantic", "pydantic_settings", "sqlalchemy", "structlog"},
        ),
        ("sentineliq.cli.doctor.kafka_checks", {"sqlalchemy", "structlog"}),
    ],
)
def test_a_module_brings_no_library_before_it_is_needed(module: str, needless: set[str]) -> None:
    assert imported_by(module) & needless == set()
