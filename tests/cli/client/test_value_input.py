"""Values come from arguments, from files and from standard input."""

import io
from pathlib import Path

import pytest
import typer

from sentineliq.cli.client.value_input import read_values


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.StringIO("# seen today\n 198.51.100.7 \n\nlogin[.]example[.]com\n")
    monkeypatch.setattr("sys.stdin", lines)


@pytest.mark.usefixtures("piped")
def test_standard_input_is_read_when_nothing_is_named() -> None:
    assert read_values([]) == ["198.51.100.7", "login[.]example[.]com"]


@pytest.mark.usefixtures("piped")
def test_a_dash_stands_for_standard_input_between_arguments() -> None:
    values = ["8.8.8.8", "198.51.100.7", "login[.]example[.]com", "1.1.1.1"]
    assert read_values(["8.8.8.8", "-", "1.1.1.1"]) == values


def test_a_file_has_a_value_on_each_line(tmp_path: Path) -> None:
    path = tmp_path / "values.txt"
    path.write_bytes(b"\xef\xbb\xbf198.51.100.7\r\n# no\r\nexample.com")
    assert read_values([], path) == ["198.51.100.7", "example.com"]


def test_no_value_is_an_error_that_says_how_to_give_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(typer.BadParameter, match="standard input"):
        read_values([])
