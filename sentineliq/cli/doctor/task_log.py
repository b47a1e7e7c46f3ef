"""The last run of a task, as the workers' log on this machine tells it."""

import json
from pathlib import Path
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.doctor.check import Check
from shared.settings import Settings

_TAIL_BYTES: Final = 4 * 1024 * 1024


def check_last_run(settings: Settings, task: str) -> Check:
    """Report how the last run of a task ended."""
    path = settings.data_dir / "logs" / "celery.log"
    lines = [
        line
        for line in _tail(path)
        if f'"task": "{task}"' in line and '"event": "task.ended"' in line
    ]
    if not lines:
        return Check("last run", "look", f"none in {path}", "logs are on the worker's machine")
    entry = json.loads(lines[-1])
    result = output.to_json(entry["result"])
    seen = f"{entry['time'][:19]}: {entry['state']} in {entry['seconds']} s: {result}"
    if entry["state"] != "SUCCESS" or entry["result"].get("status") == "failed":
        return Check("last run", "look", seen, "logs/error.log has the details")
    return Check("last run", "ok", seen)


def _tail(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()
