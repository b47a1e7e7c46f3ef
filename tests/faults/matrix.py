"""Run the fault matrix: `python -m tests.faults.matrix [--long] [--rows 5,7] [SCENARIO...]`.

Each scenario prints its counters. The long form runs every row, the tests that rows name included,
and writes `docs/reliability.md`. The exit code is 1 when a promise was not kept.
"""

import argparse
import os
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.faults import document
from tests.faults.installation import temporary_installation
from tests.faults.load import Probe
from tests.faults.oracle import Figures
from tests.faults.row import Trigger
from tests.faults.rows import ROWS, triggers
from tests.faults.scenario import NotPossibleHere, Trial

SLACK = float(os.environ.get("SENTINELIQ_FAULT_SLACK", "3"))
"""By how much a busy machine may exceed the limits of recovery before a test fails."""


def problems(trigger: Trigger, figures: Figures, slack: float = SLACK) -> list[str]:
    """What is not as promised."""
    counters = {name: getattr(figures, name) for name in ("lost", "duplicate", "stuck", "leaked")}
    bad = [f"{name} {count}" for name, count in counters.items() if count]
    if not figures.accepted:
        bad.append("nothing was accepted")
    limit = trigger.limit_s * slack
    if figures.recovery_s is not None and figures.recovery_s > limit:
        bad.append(f"recovery took {figures.recovery_s} s, {limit:g} s are allowed")
    return bad


def run(trial: Trial, chosen: list[Trigger], slack: float) -> dict[str, Any]:
    """Run scenarios one after the other and print each; the results by name."""
    results: dict[str, Any] = {}
    for trigger in chosen:
        started = time.monotonic()
        try:
            figures = trigger.scenario(trial)
        except NotPossibleHere as error:
            results[trigger.name] = {"note": f"not run: {error}"}
        except Exception as error:  # noqa: BLE001  # the others still have to run
            traceback.print_exc()
            results[trigger.name] = {"note": f"failed: {str(error)[:200]}", "failed": True}
        else:
            bad = problems(trigger, figures, slack)
            results[trigger.name] = {**asdict(figures), **({"failed": True} if bad else {})}
            print(f"{trigger.name}: {figures}; {', '.join(bad) or 'as promised'}", flush=True)
        seconds = time.monotonic() - started
        print(f"  {results[trigger.name].get('note', '')} took {seconds:.1f} s", flush=True)
    return results


def run_proofs(names: list[str]) -> bool:
    """Run the tests that rows name; whether all passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *names]
    return subprocess.run(command, check=False, cwd=document.ROOT).returncode == 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.add_argument("--long", action="store_true", help="all rows, with long outages")
    parser.add_argument("--write", action="store_true", help="enter the figures; --long does")
    parser.add_argument("--rows", help="numbers of rows, with commas between them")
    parser.add_argument("--no-proofs", action="store_true", help="only the scenarios")
    parser.add_argument("--slack", type=float, default=SLACK, help="factor of recovery limits")
    parser.add_argument("scenarios", nargs="*", help="names of scenarios")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Trigger]:
    chosen = triggers(is_long=arguments.long or bool(arguments.rows or arguments.scenarios))
    if arguments.scenarios:
        chosen = [trigger for trigger in chosen if trigger.name in arguments.scenarios]
    if arguments.rows:
        numbers = {int(number) for number in arguments.rows.split(",")}
        names = {trigger.name for row in ROWS if row.number in numbers for trigger in row.triggers}
        chosen = [trigger for trigger in chosen if trigger.name in names]
    return chosen


def _enter(results: dict[str, Any], form: str) -> None:
    """Enter results into the figures and the document, which outlast a run that is broken off."""
    figures = document.load_figures()
    for name, result in results.items():
        figures.setdefault("scenarios", {})[name] = {**result, "form": form}
    figures["run_at"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    figures["machine"] = f"{os.cpu_count()} cores with a load of {os.getloadavg()[1]:.0f}"
    document.write(figures)


def main() -> int:
    """Run what the command line names."""
    arguments = _arguments()
    results: dict[str, Any] = {}
    with temporary_installation() as installation:
        trial = Trial(installation, Probe(installation), is_long=arguments.long)
        for trigger in _chosen(arguments):
            results |= run(trial, [trigger], arguments.slack)
            if arguments.long or arguments.write:
                _enter(results, "long" if arguments.long else "short")
    has_failed = any("failed" in result for result in results.values())
    if arguments.long and not (arguments.no_proofs or arguments.rows or arguments.scenarios):
        proofs = [proof for row in ROWS for proof in row.proofs]
        has_failed |= not run_proofs(list(dict.fromkeys(proofs)))
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
