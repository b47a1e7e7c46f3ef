"""What is missing a part in prose is no observable: lost letters, cut names, masks, serials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import guess_format
from services.feeds.formats.html import HtmlFormat
from services.feeds.formats.report import ProseFormat
from shared.stix import NotAnObservable, ObservableType, detect, normalise
from shared.stix.extract import extract
from tests.feeds.formats.contract import drops, pairs, parse


def values(text):
    return [match.value for match in extract(text)]


def doubts(text):
    listed = []
    assert list(extract(text, listed)) == list(extract(text))
    return [(doubt.value, text[doubt.start : doubt.end]) for doubt in listed]


BEFORE = st.sampled_from(["", "C2: ", "(", "see\n", "\u8bbf\u95ee\uff1a"])
BEHIND = st.sampled_from(["", " and", ")", ", x", "\n"])
TOKENS = ["m{}ller.example.com", "j{}rg@example.com", "{}vil.example.com", "evil.example.co{}"]


@given(
    BEFORE, st.sampled_from([*TOKENS, "http://a.example.com/m{}ll", "a.m{}.example.com"]), BEHIND
)
def test_a_lost_letter_costs_its_whole_word(before, token, behind):
    text = before + token.format("\ufffd") + behind
    assert values(text) == []
    assert [reason for reason, _ in doubts(text)] == ["not UTF-8"]
    document = text.replace("\ufffd", "\udcfc").encode("utf-8", "surrogateescape")
    for format_, data in (
        (ProseFormat(), document),
        (HtmlFormat(), b"<html><body><p>" + document + b"</p></body></html>"),
    ):
        whole = parse(format_, data)
        assert pairs(whole) == []
        assert [reason for _, reason in drops(whole)] == ["not UTF-8"]
        assert any("are lost" in note for note in whole.notes)


def test_a_list_with_lost_letters_stays_a_list():
    document = b"m\xfcller.example.com\nevil.example.com\n"
    assert guess_format("x.txt", document)[0] == "text"


@pytest.mark.parametrize(
    "text",
    [
        "\ufb01le.example.com",
        "x\u2764y.ws",
        "bad\u65e5\u672c.example.com",
        "\u65e5\u672c.example.com",
        "evil.example.co\ufb01",
        "\uff45vil.example.com",
    ],
)
def test_a_letter_that_names_do_not_have_belongs_to_its_word(text):
    assert values(text) == []
    assert [reason for reason, _ in doubts(text)] == ["cut off"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\u8bbf\u95eeevil.example.com\u4e0b\u8f7d", "evil.example.com"),
        ("\U0001f6a8evil.example.com", "evil.example.com"),
        ("\u2022evil.example.com\u2192", "evil.example.com"),
        ("C2: m\u00fcller.example.com", "xn--mller-kva.example.com"),
    ],
)
def test_marks_and_scripts_without_blanks_may_stand_beside_a_name(text, value):
    assert values(text) == [value]
    assert doubts(text) == []


DOTS = st.sampled_from(
    ["\\[.\\]", "[.]", "<.>", "<dot>", " <dot> ", " [.] ", "\u3002", "[\\.]", "(dot)", "\\(.\\)"]
)


@given(BEFORE, st.lists(DOTS, min_size=3, max_size=3), BEHIND)
def test_marks_of_defanging_join_the_whole_name(before, dots, behind):
    name = f"login{dots[0]}evil{dots[1]}co{dots[2]}za"
    assert values(before + name + behind) == ["login.evil.co.za"]
    address = f"198{dots[0]}51{dots[1]}100{dots[2]}7"
    if "\u3002" not in dots:
        assert values(before + address + behind) == ["198.51.100.7"]


@given(
    st.sampled_from(["evil.co", "evil[.]co", "198.51.100.7"]),
    st.sampled_from(["[.]\nuk", "[.]\r\n  uk", " DOT in", "\u2026", "...", "[.] uk", "(dot) uk"]),
)
def test_a_name_that_goes_on_is_left_out(name, rest):
    text = f"see {name}{rest} and"
    assert values(text) == []
    assert [reason for reason, _ in doubts(text)] == ["cut off"]


@given(st.sampled_from(["Next", "See below", "The actor"]))
def test_a_defanged_dot_may_end_a_sentence(words):
    assert values(f"evil[.]example[.]com[.] {words}") == ["evil.example.com"]
    assert values(f"at 198[.]51[.]100[.]7[.] {words}") == ["198.51.100.7"]


@given(
    st.sampled_from(["http://", "hxxps://", "hxxp[:]//", ""]),
    st.sampled_from(["one.example.com/long/pa", "one[.]example[.]com/abc", "198.51.100.7/x"]),
    st.sampled_from(["\u2026", "...", "\u2026)", "...,"]),
)
def test_a_url_that_an_ellipsis_cuts_is_left_out(scheme, url, mark):
    text = f"see {scheme}{url}{mark} and"
    assert values(text) == []
    assert [reason for reason, _ in doubts(text)] == ["cut off"]
    assert len(values(f"see {scheme}{url}. And")) == 1


@given(st.integers(0, 255), st.sampled_from(["-", "\u2013", "\u2014"]))
def test_a_range_in_short_hand_is_left_out(last, dash):
    assert values(f"range 198.51.100.0{dash}{last} bad") == []
    whole = f"198.51.100.1{dash}198.51.100.{last}"
    assert values(whole) == ["198.51.100.1", f"198.51.100.{last}"]


@given(st.sampled_from(["/", " ", "  ", " mask ", " netmask "]), st.integers(8, 31))
def test_a_netmask_makes_a_network_and_is_no_address(mark, prefix):
    bits = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
    mask = ".".join(str(bits >> shift & 255) for shift in (24, 16, 8, 0))
    expected = normalise(ObservableType.IPV4, f"198.51.100.7/{prefix}")
    assert values(f"at 198.51.100.7{mark}{mask} and") == [expected]
    assert values(f"mask {mask}") == []
    assert values("permit 198.51.100.0 0.0.0.255") == ["198.51.100.0"]
    assert values("198.51.100.7/198.51.100.8") == []


@given(st.lists(st.sampled_from(["04", "a3", "11", "ff", "0b"]), min_size=8, max_size=8))
def test_eight_pairs_are_a_serial_number(pairs_of_digits):
    serial = ":".join(pairs_of_digits)
    assert values(f"serial {serial} of") == []
    with pytest.raises(NotAnObservable, match="serial number"):
        detect(serial)


@given(st.integers(33, 65535), st.sampled_from(["outside:", "", "dst inside:", "("]))
def test_a_number_beyond_32_behind_an_address_is_a_port(port, before):
    """At 929fb88 `203.0.113.7/443` was left out, and of a longer port a URL."""
    assert values(f"tcp {before}203.0.113.7/{port} closed") == ["203.0.113.7"]


@given(st.integers(1, 32), st.sampled_from(["%ASA-4-106023: Deny", "%FTD-6-302013: Built", "x"]))
def test_a_number_that_may_be_a_prefix_is_a_port_in_a_log(number, mark):
    line = f"{mark} tcp src outside:203.0.113.7/51234 dst inside:198.51.100.5/{number} by x"
    assert values(line) == ["203.0.113.7", "198.51.100.5"]


@given(st.integers(24, 30))
def test_a_prefix_in_prose_stays_one(number):
    assert values(f"the network 203.0.113.0/{number} is theirs")[0].endswith(f"/{number}")


@given(
    st.lists(st.sampled_from(["login", "evil-bank", "a1"]), min_size=1),
    st.sampled_from(["com", "net", "ru"]),
)
def test_dots_in_words_of_capitals_make_a_name(labels, last):
    assert values(f"They use {' DOT '.join([*labels, last])} now") == [".".join([*labels, last])]
    assert values("the DOT in Ohio and the DOT of it") == []
