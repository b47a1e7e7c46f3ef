"""Each scenario gives what an analyst expects, and `docs/scoring.md` shows exactly that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observables.scoring.scenario_table import GROUPS
from tests.observables.scoring.scenarios import Scenario, play

DOCUMENT = Path(__file__).parents[3] / "docs" / "scoring.md"
SCENARIOS = [scenario for group in GROUPS.values() for scenario in group]
_HEAD = """# Scores by example

What an analyst expects, what comes out, and why. Each line is a test; this page is written by
`python -m tests.observables.scoring.test_scenarios`. The rules are in
[observables.md](observables.md#score), the reasons in
[ADR 0019](adr/0019-three-numbers-from-witnesses.md).
"""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_scenario_gives_what_an_analyst_expects(scenario: Scenario) -> None:
    outcome = play(scenario)
    assert scenario.low <= outcome.score <= scenario.high, outcome.assessment
    for name, (low, high) in scenario.numbers.items():
        assert low <= getattr(outcome.assessment, name) <= high, (name, outcome.assessment)


def test_there_are_eighty_scenarios_with_titles_of_their_own() -> None:
    assert len(SCENARIOS) >= 80
    assert len({scenario.title for scenario in SCENARIOS}) == len(SCENARIOS)


def test_the_page_is_what_the_tests_play() -> None:
    assert DOCUMENT.read_text() == page(), "run: python -m tests.observables.scoring.test_scenarios"


def page() -> str:
    """The page of all scenarios."""
    lines = [_HEAD]
    for title, scenarios in GROUPS.items():
        lines += [f"## {title}", "", _ROW, "|---|---|---|---|---|"]
        lines += [*map(_line, scenarios), ""]
    return "\n".join(lines).rstrip() + "\n"


_ROW = "| scenario | expected | score | malicious · active · relevant | why |"


def _line(scenario: Scenario) -> str:
    outcome = play(scenario)
    numbers = outcome.assessment
    expected = " to ".join(str(bound) for bound in _bounds(scenario))
    three = f"{numbers.malicious} · {numbers.active} · {numbers.relevant}"
    why = f"{scenario.why} *{numbers.sentence}*"
    return f"| {scenario.title} | {expected} | {outcome.score} | {three} | {why} |"


def _bounds(scenario: Scenario) -> Iterator[int]:
    yield scenario.low
    if scenario.high != scenario.low:
        yield scenario.high


if __name__ == "__main__":
    DOCUMENT.write_text(page())
