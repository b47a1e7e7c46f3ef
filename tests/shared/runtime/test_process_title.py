"""`ps` and `top` show which process of which service is which."""

import subprocess
import sys

SCRIPT = """
from pathlib import Path
from shared.runtime.process_title import set_process_title
set_process_title("feeds", "worker")
print(Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode())
print(Path("/proc/self/comm").read_text().strip())
"""


def test_a_process_shows_its_service_and_kind() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    )
    assert process.stdout.splitlines() == ["sentineliq: feeds worker", "feeds-worker"]
