"""Plant mistakes in a running installation and show that the matrix notices each.

`python -m tests.faults.mutations [MISTAKE...]` prints which scenario noticed which mistake; the
exit code is 1 when one went unnoticed.
"""

import os
import sys
from collections.abc import Sequence

from tests.faults.installation import temporary_installation
from tests.faults.load import Probe
from tests.faults.matrix import run
from tests.faults.mutated import MUTATIONS, VARIABLE
from tests.faults.rows import triggers
from tests.faults.scenario import Trial

_PATIENCE = 40
GUARDS: dict[str, tuple[str, ...]] = {
    "acknowledge_before_commit": ("postgres_crash", "terminated_processes"),
    "delete_before_acknowledgement": ("kafka_outage",),
    "stop_sweeping": ("valkey_flushed", "valkey_full"),
    "trust_any_log": ("recreated_topic",),
    "share_connections": ("killed_pool_children",),
    "renew_no_lease": ("long_task",),
}
"""By mistake, the scenarios of the short form that guard against it: one has to fail."""


def noticing_scenario(mutation: str) -> str | None:
    """The first scenario that fails with a mistake; None when all of its guards pass."""
    os.environ[VARIABLE] = mutation
    try:
        with temporary_installation(preload="tests.faults.mutated") as installation:
            trial = Trial(installation, Probe(installation), patience=_PATIENCE)
            for trigger in triggers(is_long=False):
                if trigger.name not in GUARDS[mutation]:
                    continue
                if "failed" in run(trial, [trigger], slack=1e9)[trigger.name]:
                    return trigger.name
            return None
    finally:
        del os.environ[VARIABLE]


def main(names: Sequence[str]) -> int:
    """Plant each mistake and print what noticed it."""
    unnoticed = 0
    for mutation in names or MUTATIONS:
        scenario = noticing_scenario(mutation)
        unnoticed += scenario is None
        print(f"{mutation}: {scenario or 'UNNOTICED'}", flush=True)
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
