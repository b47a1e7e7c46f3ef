"""Writes `docs/reliability.md` from the matrix's rows and the last figures of each scenario."""

import json
from pathlib import Path
from typing import Any

from tests.faults.row import Row, Trigger
from tests.faults.rows import ROWS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
FIGURES = Path(__file__).with_name("figures.json")
_COUNTERS = ("accepted", "effects", "dead", "lost", "duplicate", "stuck", "leaked", "recovery_s")
_PROSE = Path(__file__).with_name("prose")


def load_figures() -> dict[str, Any]:
    """What the last run of each scenario found; empty before the first one."""
    if not FIGURES.exists():
        return {}
    figures: dict[str, Any] = json.loads(FIGURES.read_text())
    return figures


def render(figures: dict[str, Any]) -> str:
    """The document."""
    lines = [_prose("introduction"), "## The matrix\n"]
    lines += ["| # | fault | promise | shown by |", "|---|---|---|---|"]
    lines += [_table_line(row) for row in ROWS]
    lines += ["", "## Figures\n"]
    if "run_at" in figures:
        lines.append(f"Last renewed: {figures['run_at']}, on {figures['machine']}.\n")
    lines += [
        f"| scenario | form | {' | '.join(_COUNTERS)} |",
        f"|---|---|{'---|' * len(_COUNTERS)}",
    ]
    lines += [_figures_line(name, figures) for name in _scenario_names()]
    soak = figures.get("soak")
    if soak:
        lines += ["", "## Soak\n", *soak]
    return "\n".join([*lines, "", _prose("limits")])


def _prose(name: str) -> str:
    return (_PROSE / f"{name}.md").read_text()


def _scenario_names() -> list[str]:
    names = [trigger.name for row in ROWS for trigger in row.triggers]
    return list(dict.fromkeys(names))


def _table_line(row: Row) -> str:
    promise = f"{row.promise} *{row.gap}*" if row.gap else row.promise
    shown = [_scenario(trigger) for trigger in row.triggers]
    shown += [f"`{proof.rpartition('::')[2]}`" for proof in row.proofs]
    return f"| {row.number} | {row.fault} | {promise} | {', '.join(shown)} |"


def _scenario(trigger: Trigger) -> str:
    form = "" if trigger.is_short else ", long form"
    return f"**{trigger.name}** (≤ {trigger.limit_s:g} s{form})"


def _figures_line(name: str, figures: dict[str, Any]) -> str:
    result = figures.get("scenarios", {}).get(name)
    if result is None:
        return f"| {name} | not run |{' |' * len(_COUNTERS)}"
    if "note" in result:
        return f"| {name} | {result['note']} |{' |' * len(_COUNTERS)}"
    values = ["-" if result[counter] is None else str(result[counter]) for counter in _COUNTERS]
    return f"| {name} | {result['form']} | {' | '.join(values)} |"


def write(figures: dict[str, Any]) -> None:
    """Store the figures and write the document."""
    FIGURES.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    DOCUMENT.write_text(render(figures))


if __name__ == "__main__":
    DOCUMENT.write_text(render(load_figures()))
