"""Options of formats as words: what is printed and pasted is the option."""

import shlex

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from sentineliq.cli.client.format_options import Alternative, parse_options
from sentineliq.cli.output import printable

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(
        ["malicious-domains", '"malicious-domains"', "2026", "1.10", "007", "true", "null", "NaN"]
    ),
    st.sampled_from(
        ["[", "{", '"', "'", " ", "\t", ";", "it's", "a.b", "a=b", "größe", "名前", ""]
    ),
    st.from_regex(r"[0-9]{1,20}", fullmatch=True),
)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**12), 10**12) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), VALUES, max_size=4)


@given(OPTIONS)
@example({"items": '"malicious-domains"'})
@example({"columns": {"value": "2026"}, "delimiter": "\t"})
@example({"types": {"ip.src": "ipv4-addr"}, "split": {"": ";"}, "nested": {}})
@example({"value": "[" * 5000})
def test_options_that_are_printed_and_pasted_are_the_same_options(options):
    line = Alternative("json", options).arguments()
    # A terminal gets it as it is, on one line.
    assert printable(line) == line
    assert "\n" not in line
    words = shlex.split(line)
    assert words[:2] == ["--format", "json"]
    assert set(words[2::2]) <= {"--option"}
    assert parse_options(words[3::2]) == options


@pytest.mark.parametrize("text", ["007", "1.10", "1e5", "2026.0100", "-0"])
def test_a_number_that_would_lose_its_form_stays_text(text):
    assert parse_options([f"sheet={text}"]) == {"sheet": text}


def test_an_option_within_a_value_is_refused():
    with pytest.raises(typer.BadParameter, match="within an option that has a value"):
        parse_options(["columns=1", "columns.value=2"])
