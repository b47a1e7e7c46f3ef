"""How answers are printed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentineliq.cli import output


@given(st.text())
def test_source_data_cannot_steer_the_terminal(text):
    assert "\x1b" not in output.printable(text)
    assert all(sign.isprintable() or sign == "\n" for sign in output.printable(text))


def test_counts_as_text():
    assert output.format_counts({"url": 2, "ipv4-addr": 1200}) == "1,200 ipv4-addr, 2 url"


@pytest.mark.parametrize("show_json", [output.print_json, output.print_json_line])
def test_json_carries_no_control_character_to_a_terminal(
    capsys: pytest.CaptureFixture[str], show_json: Callable[[Any], None]
) -> None:
    data = {"tag \x9b31m": ["\x7f\x85\x1b[2J", "Zürich"]}
    show_json(data)
    printed = capsys.readouterr().out
    assert all(sign.isprintable() or sign == "\n" for sign in printed)
    assert "Zürich" in printed
    assert json.loads(printed) == data


def test_a_long_table_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"198.51.100.{number}", number, None, ["a", "b"]) for number in range(201)]
    rows[7] = ("https://example.com/" + "x" * 300, 7, "\x1b[2J", [])
    output.show(output.table(("value", "count", "nothing", "list"), rows))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 203
    assert lines[0].split() == ["value", "count", "nothing", "list"]
    assert "x" * 300 in lines[9]
    assert "\x1b" not in lines[9]
    assert lines[202].split() == ["198.51.100.200", "200", "-", "a,", "b"]
