"""Problems of the APIs as a person reads them."""

import shlex

from sentineliq.cli.client.api import _problem_line
from sentineliq.cli.client.format_options import parse_options


def test_a_doubt_is_shown_with_the_arguments_that_settle_it() -> None:
    alternatives = [
        {"format": "csv", "options": {"columns": {"value": [1, 2]}}},
        {"format": "json", "options": {"value": "src ip"}},
    ]
    problem = {"title": "The columns are in doubt.", "status": 422, "alternatives": alternatives}
    first, choose, *choices = _problem_line(problem, 422).splitlines()
    assert (first, choose) == ("The columns are in doubt.", "Choose one of:")
    for line, alternative in zip(choices, alternatives, strict=True):
        words = shlex.split(line)
        assert words[:2] == ["--format", alternative["format"]]
        assert parse_options(words[3::2]) == alternative["options"]
