"""What all scenarios share: load under way, a fault, recovery, and the oracle's figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.installation import Installation, wait_until
from tests.faults.load import Load, Probe
from tests.faults.oracle import Figures, Oracle

AFTER_PROCESS = 10.0
AFTER_FREEZE = 15.0
AFTER_POSTGRES = 10.0
AFTER_KAFKA = 30.0
"""Seconds within which new work goes all the way again, without anybody's help."""


class NotPossibleHere(Exception):
    """This machine lacks what a fault needs; the message says what."""


@dataclass
class Trial:
    """Where a scenario runs.

    Attributes:
        installation: runs.
        probe: measures recovery.
        is_long: whether faults last as long as the matrix says, not as long as a test may.
        patience: seconds that effects may take before they count as lost or stuck.
    """

    installation: Installation
    probe: Probe
    is_long: bool = False
    patience: float = 90

    @property
    def items(self) -> int:
        """Values of a large upload."""
        return 10_000 if self.is_long else 1000

    def seconds(self, short: float, long: float) -> float:
        """How long a fault lasts."""
        return long if self.is_long else short

    def run(self, name: str, fault: Callable[[Load], float]) -> Figures:
        """Load, fault, recovery, count.

        Args:
            name: of the load.
            fault: brings the fault about and removes it; returns when (`time.monotonic`).
        """
        oracle = Oracle(self.installation)
        load = Load(self.installation, name)
        feed = load.serve(self.items // 5, seconds=3)
        load.fetch(feed)
        wait_until(lambda: load.served(feed).requests, "the fetch of a slow list")
        load.upload(self.items)
        with load.flowing():
            wait_until(lambda: load.announced() > 0, "the first announcement")
            removed_at = fault(load)
            recovery = self.probe.seconds(removed_at)
        return self.count(oracle, load, recovery)

    def count(self, oracle: Oracle, load: Load, recovery: float | None = None) -> Figures:
        """The figures of a load when it has settled; the details are printed when they are bad."""
        figures = oracle.settle(load, seconds=self.seconds(self.patience, 4 * self.patience))
        figures.recovery_s = None if recovery is None else round(recovery, 1)
        if not figures.is_kept:
            print(oracle.details(load))
        return figures


def pause(seconds: float) -> float:
    """Let a fault last; returns when it may be removed."""
    time.sleep(seconds)
    return time.monotonic()


Scenario = Callable[[Trial], Figures]
