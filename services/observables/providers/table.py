"""The table of the built-in enrichers in docs/enrichers.md.

`python -m services.observables.providers.table docs/enrichers.md` renews the text between the two
marks in that file.
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

_HEAD: Final = ("name", "provider", "types", "key", "calls", "a day", "max TLP", "fresh for")
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def render() -> str:
    """The table, in Markdown."""
    rows = [_row(enricher) for enricher in sorted(BUILT_IN, key=lambda enricher: enricher.name)]
    return "\n".join(map(_line, [_HEAD, ("---",) * len(_HEAD), *rows])) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(enricher: type[RemoteEnricher]) -> tuple[str, ...]:
    key = " and ".join(enricher.key_fields) + (", optional" if enricher.key_optional else "")
    calls = f"{enricher.rate.calls:,} in {_span(timedelta(seconds=enricher.rate.seconds))}"
    return (
        f"`{enricher.name}`",
        f"[{enricher.title}]({enricher.documentation})",
        ", ".join(sorted(enricher.types)),
        key,
        calls,
        "" if enricher.daily is None else f"{enricher.daily:,}",
        enricher.max_tlp,
        _span(enricher.lifetime),
    )


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    unit, length = next(
        (unit, length) for unit, length in _UNITS if seconds % length == 0 or length == 1
    )
    return f"{seconds / length:g} {unit}"


def renew(document: str) -> str:
    """Replace the table in a document by the current one.

    Raises:
        ValueError: a mark is missing.
    """
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{render()}{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renew(path.read_text()))
