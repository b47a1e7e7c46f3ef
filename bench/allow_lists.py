"""Allow-lists: packing, memory, one value and a thousand."""

import resource
import statistics
import time

from bench._figures import keep
from bench.lookup import values
from services.observables.reference.warning_checks import Warninglists
from services.observables.reference.warning_lists import bundled, pack

CHECK_US, MEMORY_MIB = 20.0, 250.0


def main() -> None:
    """Measure, print, keep."""
    started = time.perf_counter()
    blob = pack(bundled())
    packing = time.perf_counter() - started
    lists = Warninglists(blob)
    asked = [(one.type, one.value) for one in values(20_000)]
    for type_, value in asked[:200]:
        lists.check(type_, value)
    single = []
    for type_, value in asked:
        started = time.perf_counter()
        lists.check(type_, value)
        single.append((time.perf_counter() - started) * 1e6)
    addresses = [value for type_, value in asked if type_ == "ipv4-addr"]
    started = time.perf_counter()
    for start in range(0, len(addresses), 1_000):
        lists.check_many("ipv4-addr", addresses[start : start + 1_000])
    bulk = (time.perf_counter() - started) / len(addresses) * 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "lists": float(len(lists.lists)),
        "packing (s)": packing,
        "packed (MiB)": len(blob) / 2**20,
        "one value, median (us)": statistics.median(single),
        "one value, p99 (us)": sorted(single)[int(len(single) * 0.99)],
        "one of a thousand addresses (us)": bulk,
        "peak memory, packing included (MiB)": memory,
    }
    missed = [] if statistics.median(single) <= CHECK_US else [f"a check takes more than {CHECK_US} us"]
    keep("allow_lists", figures, missed + ([] if memory <= MEMORY_MIB else [f"more than {MEMORY_MIB} MiB"]))


if __name__ == "__main__":
    main()
