"""Memory and start time of the whole idle stack on one machine.

Memory is PSS: pages that processes share are divided among them. The peer is the sum of the minimum
requirements in OpenCTI's documentation (deployment overview, 2025-12): about 18 GB.
"""

import time

from bench._figures import pss_by_process, report_figures, throwaway_stack

MAX_MIB = 1.2 * 1024
MAX_SECONDS = 20.0
PEER_MIB = 18 * 1000**3 / 2**20
SETTLE_SECONDS = 20


def main() -> None:
    """Measure and report."""
    with throwaway_stack() as (stack, seconds):
        time.sleep(SETTLE_SECONDS)
        sizes = pss_by_process(stack)
    total = sum(sizes.values())
    figures = {
        f"PSS of {name} (MiB)": size
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    }
    figures |= {
        "PSS of everything (MiB)": total,
        "ready after (s)": seconds,
        "share of the peer's minimum": total / PEER_MIB,
    }
    missed = []
    if total > MAX_MIB:
        missed.append(f"{total:,.0f} MiB is more than {MAX_MIB:,.0f}")
    if seconds > MAX_SECONDS:
        missed.append(f"ready after {seconds:.1f} s, more than {MAX_SECONDS:.0f}")
    report_figures("idle_stack", figures, missed)


if __name__ == "__main__":
    main()
