"""Allow-lists: packing, memory, one value and a thousand."""

import statistics
import subprocess
import sys
import tempfile
import time

from bench._figures import keep
from bench.lookup import values
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import bundled, pack

CHECK_US, MEMORY_MIB = 20.0, 250.0
_HOLDER = """
import pathlib, psutil, sys
from services.observables.reference.warning_list_index import WarningListIndex
lists = WarningListIndex(pathlib.Path(sys.argv[1]).read_bytes())
for kind, value in (("ipv4-addr", "8.8.8.8"), ("domain-name", "google.com"), ("url", "http://a.com/")):
    lists.check(kind, value)
print(psutil.Process().memory_info().rss / 2**20)
"""


def main() -> None:
    """Measure, print, keep."""
    started = time.perf_counter()
    blob = pack(bundled())
    packing = time.perf_counter() - started
    lists = WarningListIndex(blob)
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
    with tempfile.NamedTemporaryFile() as file:
        file.write(blob)
        file.flush()
        memory = float(subprocess.check_output([sys.executable, "-c", _HOLDER, file.name]))
    figures = {
        "lists": float(len(lists.lists)),
        "packing (s)": packing,
        "packed (MiB)": len(blob) / 2**20,
        "one value, median (us)": statistics.median(single),
        "one value, p99 (us)": sorted(single)[int(len(single) * 0.99)],
        "one of a thousand addresses (us)": bulk,
        "peak memory of a process that holds them (MiB)": memory,
    }
    missed = (
        [] if statistics.median(single) <= CHECK_US else [f"a check takes more than {CHECK_US} us"]
    )
    keep(
        "allow_lists",
        figures,
        missed + ([] if memory <= MEMORY_MIB else [f"more than {MEMORY_MIB} MiB"]),
    )


if __name__ == "__main__":
    main()
