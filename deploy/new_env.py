"""Write `.env` for compose.yaml: fresh secrets, readable by the owner only. Never overwrite."""

import os
import secrets
import sys
from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / ".env"


def content() -> str:
    """A secret for each variable that compose.yaml requires, in letters valid in a URL."""
    lines = {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "VALKEY_PASSWORD": secrets.token_urlsafe(32),
        "SENTINELIQ_SECRET_KEY": secrets.token_urlsafe(48),
        "FLOWER_BASIC_AUTH": f"operator:{secrets.token_urlsafe(24)}",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def main(place: Path = PLACE) -> int:
    """Write the file unless it exists; the exit code."""
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.stderr.write(
            f"{place} is kept as it is; remove it to get new secrets"
            " (and new volumes to go with them)\n"
        )
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(content())
    sys.stdout.write(f"{place} written; next: docker compose --profile all up --build\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
