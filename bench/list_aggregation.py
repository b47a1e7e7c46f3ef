"""Aggregation of addresses to networks: a million of them, beside the standard library."""

import argparse
import ipaddress
import random
import time

from bench._figures import report_figures
from services.observables.list_formats.aggregation import aggregate_ipv4

MIN_FACTOR = 20.0


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=1_000_000)
    count = parser.parse_args().addresses
    source = random.Random(7)  # noqa: S311  # the same list in each run
    # Half of them lie close together, as scanners and botnets do.
    close = [0xC6000000 + source.getrandbits(20) for _ in range(count // 2)]
    wide = [source.getrandbits(32) for _ in range(count // 2)]
    values = [".".join(map(str, number.to_bytes(4, "big"))) for number in close + wide]
    started = time.perf_counter()
    networks = aggregate_ipv4(values)
    own_seconds = time.perf_counter() - started
    started = time.perf_counter()
    collapsed = ipaddress.collapse_addresses(map(ipaddress.IPv4Network, values))
    expected = [str(each).removesuffix("/32") for each in collapsed]
    library_seconds = time.perf_counter() - started
    factor = library_seconds / own_seconds
    figures = {
        "addresses": float(count),
        "networks": float(len(networks)),
        "seconds": own_seconds,
        "seconds of ipaddress": library_seconds,
        f"times faster (at least {MIN_FACTOR:.0f})": factor,
    }
    missed = [] if networks == expected else ["the networks differ from those of ipaddress"]
    if factor < MIN_FACTOR:
        missed.append(f"{factor:.1f} times faster, {MIN_FACTOR:.0f} wanted")
    report_figures("list_aggregation", figures, missed)


if __name__ == "__main__":
    main()
