"""What is on a watchlist: networks, domains, look-alikes of brands, and values as they stand."""

import pytest

from services.notifications.watchlists.csv_rows import read_entries
from services.notifications.watchlists.index import MAX_VALUE, WatchlistIndex, canonical_entry
from shared.errors import InvalidInput

INDEX = WatchlistIndex(
    [
        ("network", "192.0.2.0/24"),
        ("network", "198.51.100.7/32"),
        ("network", "2001:db8::/32"),
        ("domain", "example.com"),
        ("brand", "paypal"),
        ("brand", "visa"),
        ("value", "d41d8cd98f00b204e9800998ecf8427e"),
    ]
)


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.1",
        "192.0.2.128/25",
        "198.51.100.7",
        "2001:db8::1",
        "example.com",
        "mail.example.com",
        "https://a.example.com:8443/x?y",
        "kim@example.com",
        "d41d8cd98f00b204e9800998ecf8427e",
        # Look-alikes: other letters, a character missing, surplus, replaced or swapped, words.
        "paypa1.com",
        "\u0440\u0430\u0443\u0440\u0430l.com",
        "paypaI.com",
        "paypl.com",
        "payypal.com",
        "paipal.com",
        "payapl.com",
        "paypal-login.net",
        "secure-paypal.org",
        "securepaypal.net",
        "https://paypal.net/login",
        "v1sa.com",
    ],
)
def test_it_is_on_the_list(value: str) -> None:
    assert value in INDEX


@pytest.mark.parametrize(
    "value",
    [
        "192.0.3.1",
        "192.0.2.0/23",
        "198.51.100.8",
        "2001:db9::1",
        "::1",
        "badexample.com",
        "example.org",
        "d41d8cd98f00b204e9800998ecf8427f",
        "visit.com",
        "vista.com",
        "advisable.com",
        "paper.com",
        "192.0.2.x",
        "",
    ],
)
def test_it_is_not_on_the_list(value: str) -> None:
    assert value not in INDEX


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("192.0.2.77/24", ("network", "192.0.2.0/24")),
        (" 192.0.2.7 ", ("network", "192.0.2.7/32")),
        ("*.Example.COM.", ("domain", "example.com")),
        ("b\u00fccher.example", ("domain", "xn--bcher-kva.example")),
        ("https://a.example/x", ("value", "https://a.example/x")),
    ],
)
def test_entries_are_recognised(text: str, entry: tuple[str, str]) -> None:
    assert canonical_entry(None, text) == entry


def test_csv_names_the_line_that_is_wrong() -> None:
    text = "note,value,kind\noffice,192.0.2.0/24,\n# a remark\n\nshop,paypal,brand\n"
    assert read_entries(text) == [
        ("network", "192.0.2.0/24", "office"),
        ("brand", "paypal", "shop"),
    ]
    for wrong, reason in [
        ("a.example\n10.0.0.0/33,network", "Line 2"),
        ("a.example,planet", "no kind"),
        ('"unclosed', "Line 1"),
        ("pay.pal,brand", "no brand"),
    ]:
        with pytest.raises(InvalidInput, match=reason):
            read_entries(wrong)


def test_a_hundred_thousand_entries_are_asked_in_a_few_look_ups() -> None:
    entries = [("network", f"10.{n >> 8 & 255}.{n & 255}.{n >> 16}/32") for n in range(100_000)]
    index = WatchlistIndex(entries)
    assert "10.0.1.0" in index
    assert "10.0.1.9" not in index


def test_an_entry_has_room_in_the_key_of_its_table() -> None:
    assert canonical_entry("value", "a" * MAX_VALUE)[1] == "a" * MAX_VALUE
    for value in ("a" * (MAX_VALUE + 1), "\U0001d4b6" * (MAX_VALUE // 2), "\ud800", "a\nb"):
        with pytest.raises(InvalidInput, match="printable"):
            canonical_entry("value", value)
