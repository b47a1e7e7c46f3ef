"""What the stack says, on a terminal: each line with its part's name before it, in that part's colour."""

import sys
import zlib

from sentineliq.local.managed_process import State

_COLOURS = (31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96)
_WIDTH = 22


def print_line(part: str, line: str) -> None:
    """Write a part's line to stdout; coloured on a terminal only."""
    prefix = f"{part:<{_WIDTH}}|"
    if sys.stdout.isatty():
        prefix = f"\x1b[{_COLOURS[zlib.crc32(part.encode()) % len(_COLOURS)]}m{prefix}\x1b[0m"
    sys.stdout.write(f"{prefix} {line}\n")
    sys.stdout.flush()


def print_state(part: str, state: State, detail: str) -> None:
    """Write a part's new state as one of its lines."""
    print_line(part, f"-- {state}{': ' if detail else ''}{detail}")
