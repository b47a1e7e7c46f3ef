"""Shared by the measurements: a throw-away stack, PSS, and the results."""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
from pydantic import SecretStr

from sentineliq.local.orphans import running_processes
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from shared.auth import issue_token

RESULTS = Path(__file__).parent / "results"


@contextmanager
def throwaway_stack(**environ: str) -> Iterator[tuple[Stack, float]]:
    """Run the whole stack on an empty folder and free ports; yield it and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        # As root, PostgreSQL runs as another user, who must be able to traverse the folder.
        Path(folder).chmod(0o755)
        inherited = {
            name: value
            for name, value in _environment().items()
            if not name.startswith("SENTINELIQ_")
        }
        stack = Stack(Path(folder), Ports.free(), {**inherited, **environ})
        started = time.perf_counter()
        with stack.running():
            yield stack, time.perf_counter() - started


def _environment() -> dict[str, str]:
    parts = {"DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS"}
    return {name: value for name, value in os.environ.items() if name not in parts}


def api_client(stack: Stack, service: str, tenant: str = "acme") -> httpx2.Client:
    """A client of a service's API, as an operator in a tenant."""
    secret = SecretStr(stack.environment["SENTINELIQ_SECRET_KEY"])
    token = issue_token(secret, actor="bench", tenant=tenant, role="operator")
    url = stack.environment[f"SENTINELIQ_{service.upper()}_URL"]
    return httpx2.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    )


def pss_by_process(stack: Stack) -> dict[str, float]:
    """Proportional set size in MiB of each process with its children, and of the supervisor."""
    roots = {**running_processes(stack.data_dir)}
    sizes = {name: sum(map(_pss, _family(pid))) for name, pid in roots.items()}
    counted = {process.pid for pid in roots.values() for process in _family(pid)}
    supervisor = [
        process for process in _family(psutil.Process().pid) if process.pid not in counted
    ]
    return sizes | {"supervisor": sum(map(_pss, supervisor))}


def _family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def report_figures(name: str, figures: dict[str, Any], missed: list[str] | None = None) -> None:
    """Print figures and store them as JSON; exit with an error if limits were missed."""
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "machine": platform.machine(),
    }
    (RESULTS / f"{name}.json").write_text(
        json.dumps({**figures, "at": time.time(), "on": machine}, indent=2) + "\n"
    )
    for label, value in figures.items():
        print(f"{label:44} {value:,.2f}" if isinstance(value, float) else f"{label:44} {value}")
    if missed:
        sys.exit(f"{name}: {'; '.join(missed)}")
