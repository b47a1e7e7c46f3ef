"""Write `.env` for compose.yaml: fresh secrets, readable by the owner only.

What an existing file has stays; what a newer version needs besides is added to it.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / ".env"
SERVICES = ("feeds", "observables", "notifications", "mitre", "scheduler")


def variables() -> dict[str, str]:
    """A secret for each variable that compose.yaml requires, in letters valid in a URL."""
    logins = {f"{name.upper()}_DATABASE_PASSWORD": secrets.token_urlsafe(32) for name in SERVICES}
    return {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "VALKEY_PASSWORD": secrets.token_urlsafe(32),
        "SENTINELIQ_SECRET_KEY": secrets.token_urlsafe(48),
        "FLOWER_BASIC_AUTH": f"operator:{secrets.token_urlsafe(24)}",
        **logins,
    }


def content(stored: Mapping[str, str] | None = None) -> str:
    """The lines that a file lacks.

    Args:
        stored: the variables that it has.
    """
    lines = {name: value for name, value in variables().items() if name not in (stored or {})}
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def main(place: Path = PLACE) -> int:
    """Write the file, or add to it what is missing; the exit code is 1 if nothing is."""
    stored = place.read_text() if place.exists() else ""
    missing = content(_read(stored))
    if not missing:
        sys.stderr.write(
            f"{place} is kept as it is; remove it to get new secrets"
            " (and new volumes to go with them)\n"
        )
        return 1
    if stored and not stored.endswith("\n"):
        stored += "\n"
    _replace(place, stored + missing)
    names = ", ".join(_read(missing))
    done = f"{names} added to {place}" if stored else f"{place} written"
    sys.stdout.write(f"{done}; next: docker compose --profile all up --build\n")
    return 0


def _read(text: str) -> dict[str, str]:
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    return {name.strip(): value for name, value in lines if not name.lstrip().startswith("#")}


def _replace(place: Path, text: str) -> None:
    new = place.with_name(f"{place.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(place)


if __name__ == "__main__":
    sys.exit(main())
