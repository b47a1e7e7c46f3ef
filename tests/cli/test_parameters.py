"""What the values of options mean."""

import re

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.parameters import feed_name, parse_duration

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:/()+-]*$"
"""The names that the feeds API allows."""


def test_options_are_nested_by_dots_and_typed_by_json():
    pairs = ["columns.value=SHA-1", "header=true", "columns.tags=[3,4]", "delimiter=;"]
    assert parse_options(pairs) == {
        "columns": {"value": "SHA-1", "tags": [3, 4]},
        "header": True,
        "delimiter": ";",
    }
    with pytest.raises(typer.BadParameter):
        parse_options(["header"])


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("30m", 1800), ("6h", 21600), ("1d", 86400)]
)
def test_durations(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-5", "1w", "1.5h"])
def test_texts_that_are_no_duration(text):
    with pytest.raises(typer.BadParameter):
        parse_duration(text)


@given(st.text())
def test_every_file_name_gives_a_name_that_the_api_allows(text):
    name = feed_name(text)
    assert re.match(NAME, name)
    assert len(name) <= 120
