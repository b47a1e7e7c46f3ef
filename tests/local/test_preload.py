"""What all service processes inherit."""

import subprocess
import sys

SCRIPT = """
import os, sys
before = set(os.listdir("/proc/self/fd"))
from sentineliq.local.preload import MODULES
print(sorted(set(MODULES) - sys.modules.keys()))
print(len(os.listdir("/proc/self/task")), set(os.listdir("/proc/self/fd")) - before)
print([name for name in sys.modules if name.startswith("services.") and name.endswith(".tasks")])
"""


def test_everything_is_imported_and_nothing_else_happens() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env={}
    )
    assert done.stdout.splitlines() == ["[]", "1 set()", "[]"]
