"""Allow-lists: the time to pack them, their memory, the time for one value and for a thousand."""

import statistics
import subprocess
import sys
import tempfile
import time

from bench._figures import report_figures
from bench.lookup import values
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import bundled, pack

MAX_CHECK_US = 20.0
MAX_MEMORY_MIB = 250.0
_MEMORY_SCRIPT = """
import pathlib, psutil, sys
from services.observables.reference.warning_list_index import WarningListIndex
lists = WarningListIndex(pathlib.Path(sys.argv[1]).read_bytes())
lists.check("ipv4-addr", "8.8.8.8")
lists.check("domain-name", "google.com")
lists.check("url", "http://a.com/")
print(psutil.Process().memory_info().rss / 2**20)
"""


def main() -> None:
    """Measure and report."""
    # Packing.
    started = time.perf_counter()
    blob = pack(bundled())
    packing = time.perf_counter() - started
    lists = WarningListIndex(blob)
    queries = [(indicator.type, indicator.value) for indicator in values(20_000)]
    for type_, value in queries[:200]:
        lists.check(type_, value)
    # One value at a time.
    single = []
    for type_, value in queries:
        started = time.perf_counter()
        lists.check(type_, value)
        single.append((time.perf_counter() - started) * 1e6)
    # A thousand addresses at a time.
    addresses = [value for type_, value in queries if type_ == "ipv4-addr"]
    started = time.perf_counter()
    for start in range(0, len(addresses), 1_000):
        lists.check_many("ipv4-addr", addresses[start : start + 1_000])
    bulk = (time.perf_counter() - started) / len(addresses) * 1e6
    # Memory, in a process of its own.
    with tempfile.NamedTemporaryFile() as file:
        file.write(blob)
        file.flush()
        memory = float(subprocess.check_output([sys.executable, "-c", _MEMORY_SCRIPT, file.name]))
    figures = {
        "lists": float(len(lists.lists)),
        "packing (s)": packing,
        "packed (MiB)": len(blob) / 2**20,
        "one value, median (us)": statistics.median(single),
        "one value, p99 (us)": sorted(single)[int(len(single) * 0.99)],
        "one of a thousand addresses (us)": bulk,
        "peak memory of a process that holds them (MiB)": memory,
    }
    missed = []
    if statistics.median(single) > MAX_CHECK_US:
        missed.append(f"a check takes more than {MAX_CHECK_US} us")
    if memory > MAX_MEMORY_MIB:
        missed.append(f"more than {MAX_MEMORY_MIB} MiB")
    report_figures("allow_lists", figures, missed)


if __name__ == "__main__":
    main()
