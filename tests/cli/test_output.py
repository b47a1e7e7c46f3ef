"""How answers are printed."""

from hypothesis import given
from hypothesis import strategies as st

from sentineliq.cli import output


@given(st.text())
def test_source_data_cannot_steer_the_terminal(text):
    assert "\x1b" not in output.printable(text)
    assert all(sign.isprintable() or sign == "\n" for sign in output.printable(text))


def test_counts_as_text():
    assert output.format_counts({"url": 2, "ipv4-addr": 1200}) == "1,200 ipv4-addr, 2 url"
