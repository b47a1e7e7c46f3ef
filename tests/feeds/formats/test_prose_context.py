"""What prose names and does not mean: headers of mails, and links beside defanged values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.prose_context import mail_headers
from services.feeds.formats.report import ProseFormat
from tests.feeds.formats.contract import parse
from tests.feeds.formats.test_field_cases import values

DEFANGED = (
    "login[.]evil-bank[.]com",
    "evil-login(.)com",
    "hxxp://evil-c.com/a",
    "evil-d[dot]com",
    "evil-e DOT com",
)
MEANT = {"login.evil-bank.com", "evil-login.com", "http://evil-c.com/a", "evil-d.com", "evil-e.com"}
CLEAR = ("https://www.cert.at/reports/1", "max@cert.at", "www.cert.at", "https://github.com/a/b")
HEADER = (
    "Return-Path: <max@cert.at>",
    (
        "Received: from mail.cert.at (mail.cert.at [83.136.33.1]) by mx.example.org with ESMTP;\n"
        "\tSun, 29 Nov 2026 10:00:00 +0100"
    ),
    "Message-ID: <4711@mail.cert.at>",
    "Von: Max Muster <max@cert.at>",
    "De: Max <max@cert.at>",
    "To: soc@example.org",
    "Betreff: AW: www.cert.at",
)


@given(
    st.lists(st.sampled_from(DEFANGED), min_size=2, unique=True),
    st.lists(st.sampled_from(CLEAR), unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from(("\n", " and ", ", ")),
)
def test_a_text_that_defangs_means_what_is_defanged(defanged, clear, chance, separator):
    """At 929fb88 the links of the sender were indicators."""
    words = [*defanged, *clear]
    chance.shuffle(words)
    whole = parse(ProseFormat(), f"We saw {separator.join(words)} .".encode())
    assert {item.value for item in whole.indicators} <= MEANT
    assert len(whole.indicators) == len(defanged)
    assert whole.account is not None
    assert whole.account.total == len(words)
    with_context = parse(ProseFormat(), f"We saw {separator.join(words)} .".encode(), context=True)
    assert len(with_context.indicators) == len(words)
    if clear:
        assert any("--option context=true" in note for note in whole.notes)


def test_addresses_are_judged_apart_from_names():
    text = "The host evil-login[.]com was seen. It resolved to 45.155.205.233."
    assert values(text.encode(), "a.report") == ["evil-login.com", "45.155.205.233"] or [
        item.value for item in parse(ProseFormat(), text.encode()).indicators
    ] == ["evil-login.com", "45.155.205.233"]


def test_one_defanged_name_among_many_changes_nothing():
    names = " ".join(f"evil-{at}.com" for at in range(10))
    whole = parse(ProseFormat(), f"{names} evil-x[.]com".encode())
    assert len(whole.indicators) == 11


def test_a_value_that_is_defanged_once_is_meant_each_time():
    whole = parse(ProseFormat(), b"evil-a[.]com and evil-a.com and cert.at")
    assert [item.value for item in whole.indicators] == ["evil-a.com", "evil-a.com"]


@given(
    st.lists(st.sampled_from(HEADER), min_size=2, unique=True),
    st.sampled_from(("", "> ", "Hello,\n\n")),
    st.booleans(),
)
def test_the_header_of_a_mail_is_context(lines, before, is_defanged):
    if not any(line.startswith(("Return", "Received", "Message", "Von", "De")) for line in lines):
        return
    header = "\n".join(lines)
    if before == "> ":
        header = "\n".join(f"> {line}" for line in header.split("\n"))
    else:
        header = before + header
    names = "evil-a[.]com" if is_defanged else "evil-a.com"
    whole = parse(ProseFormat(), f"{header}\n\nWe saw {names} today.\n".encode())
    assert [item.value for item in whole.indicators] == ["evil-a.com"]


@pytest.mark.parametrize(
    "text",
    ["From: evil-a.com", "Note: one\nTo: two\n", "Date: x\nSubject: y\n", "no header\nat all"],
)
def test_a_line_that_only_looks_like_a_field_is_no_header(text):
    assert mail_headers(text) == []
