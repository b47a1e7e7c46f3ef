"""The table of our remote enrichers in docs/enrichers.md.

`python -m services.observables.providers.table docs/enrichers.md` renews
what stands between the two marks of that file.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from services.observables.providers.base import RemoteEnricher
from services.observables.providers.registry import BUILT_IN

BEGIN: Final = "<!-- enrichers: generated -->\n"
END: Final = "<!-- enrichers: end -->\n"

_HEAD: Final = ("name", "provider", "asked about", "key", "calls", "a day", "max TLP", "good for")
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def render() -> str:
    """The table, in Markdown."""
    rows = [_row(one) for one in sorted(BUILT_IN, key=lambda one: one.name)]
    return "\n".join(map(_line, [_HEAD, ("---",) * len(_HEAD), *rows])) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(one: type[RemoteEnricher]) -> tuple[str, ...]:
    key = " and ".join(one.key_fields) + (", optional" if one.key_optional else "")
    daily = "" if one.daily is None else f"{one.daily:,}"
    calls = f"{one.rate.calls:,} in {_span(timedelta(seconds=one.rate.seconds))}"
    about = f"`{one.name}`", f"[{one.title}]({one.documentation})", ", ".join(sorted(one.types))
    return *about, key, calls, daily, one.max_tlp, _span(one.lifetime)


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    unit, length = next(
        (unit, length) for unit, length in _UNITS if seconds % length == 0 or length == 1
    )
    return f"{seconds / length:g} {unit}"


def renewed(document: str) -> str:
    """A document with the table as it is now.

    Raises:
        ValueError: it has not both marks.
    """
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{render()}{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text()))
