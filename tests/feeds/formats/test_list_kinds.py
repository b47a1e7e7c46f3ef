"""Relatives of lists that people have: what blocks nothing is not read, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import LinesNotIndependent
from services.feeds.formats.text import TextFormat
from tests.feeds.formats.contract import pairs, parse

NAMES = ["bad1.example.com", "bad2.example.com", "bad3.example.com"]


def values(document: str, **options: object) -> list[str]:
    return [value for _, value in pairs(parse(TextFormat(), document.encode(), **options))]


@given(
    st.sampled_from(["10.10.10.10", "192.168.0.1", "172.20.1.1", "203.0.113.5", "2001:db8::5"]),
    st.integers(2, 3),
    st.sampled_from(["", "127.0.0.1 localhost\n", "# hosts\n"]),
    st.sampled_from(["", " # one", " www.bad9.example.com"]),
)
def test_the_address_to_which_a_hosts_file_sends_its_names_is_none_of_them(sink, count, head, tail):
    document = head + "".join(f"{sink} {name}{tail}\n" for name in NAMES[:count])
    listed = values(document)
    assert sink not in listed
    assert [name for name in listed if name in NAMES] == NAMES[:count]
    assert len(listed) == count * (1 + ("www" in tail))
    assert values(document, column=0)[-1] == sink


def test_addresses_that_differ_are_no_sinks():
    assert values("198.51.100.7 a.example.com\n198.51.100.8 b.example.com\n") == [
        "198.51.100.7",
        "198.51.100.8",
    ]


BLOCKING = ["important", "third-party", "all", "document", "doc,popup", "script,third-party", "3p"]
CONDITIONAL = [
    "badfilter",
    "removeparam=x",
    "csp=script-src 'none'",
    "domain=good.example.org",
    "denyallow=x.com",
    "~third-party",
    "dnsrewrite=198.51.100.9",
    "client=192.0.2.1",
    "dnstype=AAAA",
    "redirect-rule=noop.js",
    "permissions=x",
    "third-party,domain=a.example",
]


@given(st.sampled_from(BLOCKING), st.sampled_from(CONDITIONAL), st.booleans())
def test_only_rules_that_block_a_name_as_a_whole_give_it(blocking, condition, with_header):
    head = "[Adblock Plus 2.0]\n" if with_header else ""
    lines = f"||one.example.com^\n||two.example.com^${blocking}\n||good.example.com^${condition}\n"
    whole = parse(TextFormat(), (head + lines).encode())
    assert pairs(whole) == [("domain-name", "one.example.com"), ("domain-name", "two.example.com")]
    assert whole.account.context["rule under a condition"] == 1


@given(
    st.sampled_from(["server", "local", "SERVER"]),
    st.sampled_from(["#", "10.0.0.1", "1.1.1.1#53", "2001:db8::1", "10.0.0.1@eth0"]),
)
def test_dnsmasq_blocks_what_it_answers_itself(option, target):
    document = (
        "address=/one.example.com/0.0.0.0\naddress=/two.example.com/\n"
        f"address=/three.example.com/#\n"
        f"{option}=/four.example.com/\n{option}=/good.example.com/other.example.com/{target}\n"
    )
    whole = parse(TextFormat(), document.encode())
    assert [value.split(".")[0] for _, value in pairs(whole)] == ["one", "two", "three", "four"]
    assert whole.account.context == {"forwarded name": 1}


ZONE = "rpz.example.net"
HEADS = [
    f"$ORIGIN {ZONE}.\n@ SOA a. b. 1 1 1 1 1\n",
    f"$TTL 60\n{ZONE}. IN SOA a. b. 1 1 1 1 1\n",
    f"$ORIGIN .\n{ZONE} 60 IN SOA a. b. 1 1 1 1 1\n$ORIGIN {ZONE}.\n",
    f"$ORIGIN {ZONE}.\n$TTL 60\n@ IN SOA a. b. 1 1 1 1 1\n IN NS ns.example.net.\n",
]
PASSING = [
    "good.example.com CNAME good.example.com.",
    f"good.example.com.{ZONE}. CNAME good.example.com.",
    "good.example.com 60 IN CNAME rpz-passthru.",
    "good.example.com CNAME rpz-tcp-only.",
    "*.good.example.com CNAME *.good.example.com.",
    "good.example.org. CNAME .",
]


@given(st.sampled_from(HEADS), st.sampled_from(PASSING))
def test_a_zone_gives_what_it_blocks_without_its_own_name(head, passing):
    document = (
        f"{head}bad1.example.com CNAME .\nbad2.example.com.{ZONE}. CNAME *.\n{passing}\n"
        f"*.bad3.example.com.{ZONE}. 60 IN CNAME .\n32.7.100.51.198.rpz-ip.{ZONE}. CNAME .\n"
    )
    assert values(document) == [*NAMES, "198.51.100.7"]


def test_the_names_of_a_zone_follow_its_origin():
    document = (
        f"{HEADS[0]}$ORIGIN com.{ZONE}.\nbad1.example CNAME .\n"
        f"$ORIGIN uk.{ZONE}.\nbad2.co CNAME .\n"
        f"$ORIGIN {ZONE}.\nbad3.example.com CNAME .\n"
    )
    assert values(document) == ["bad1.example.com", "bad2.co.uk", "bad3.example.com"]
    lines = document.splitlines()
    with pytest.raises(LinesNotIndependent):
        TextFormat().reader(lines, {}).read(lines, range(1, len(lines) + 1))


@given(
    st.integers(0, 255),
    st.sampled_from(["198.51.100.0 - 198.51.100.255", "198.51.100.0-198.51.100.255"]),
)
def test_ranges_that_an_ip_filter_lets_through_are_context(level, ends):
    document = f"001.002.003.000 - 001.002.003.255 , 000 , bad\n{ends} , {level:03} , x\n"
    expected = ["1.2.3.0/24", "198.51.100.0/24"]
    assert values(document) == (expected if level < 128 else expected[:1])


URLS = [
    "http://one.example.com/a,b",
    "http://one.example.com/?a=1;b=2",
    "hxxp://one.example.com/a;v=1,2",
]


@given(
    st.sampled_from(URLS),
    st.sampled_from(["", "ts=1 ", "a=x | "]),
    st.sampled_from(["", " act=deny"]),
)
def test_a_url_keeps_its_commas_and_semicolons_among_pairs(url, before, behind):
    if not before and not behind and "v=1" in url:
        return  # a pair may follow the semicolon
    line = f"{before}url={url}{behind}\n"
    assert values(line * 2, key="url") == [url.replace("hxxp", "http")] * 2


@given(
    st.sampled_from([",", ";", ", ", "; ", " ", "|"]),
    st.permutations(["a=1", "src=198.51.100.7", "url=http://one.example.com/x"]),
)
def test_pairs_end_at_the_marks_between_them(mark, parts):
    document = f"{mark.join(parts)}\n" * 3
    assert values(document, key="src") == ["198.51.100.7"] * 3
    if mark != ";" or "?" not in document:
        assert values(document, key="url") == ["http://one.example.com/x"] * 3


@given(st.integers(150, 400), st.sampled_from([" ", ", ", ";", "\t"]), st.booleans())
def test_a_late_line_of_several_values_gives_them_all(count, mark, has_end):
    document = "198.51.100.1\n" * count + f"198.51.100.2{mark}203.0.113.9" + "\n" * has_end
    assert values(document)[count:] == ["198.51.100.2", "203.0.113.9"]


@given(st.integers(2, 300), st.sampled_from([" ", ",", " , "]))
def test_a_line_holds_any_number_of_values(count, mark):
    addresses = [f"198.51.{100 + at // 250}.{at % 250 + 1}" for at in range(count)]
    assert values(mark.join(addresses) + "\n") == addresses


def test_what_is_no_value_on_a_line_of_several_is_left_out_by_its_reason():
    whole = parse(TextFormat(), b"198.51.100.1 198.51.100.2\n198.51.100.3 oops 198.51.100.4\n")
    assert len(whole.indicators) == 4
    assert [(item.where, item.reason) for item in whole.dropped] == [("line 2", "single label")]


def test_words_behind_a_value_are_no_values():
    assert values("198.51.100.1\n" * 3 + "198.51.100.2 seen with 203.0.113.9\n")[3:] == [
        "198.51.100.2"
    ]


def test_urls_between_commas_keep_theirs():
    document = (
        "http://one.example.com/a,b http://two.example.com/x;y\n"
        "http://c.example.com/,http://d.example.com/\n"
    )
    assert values(document) == [
        "http://one.example.com/a,b",
        "http://two.example.com/x;y",
        "http://c.example.com/",
        "http://d.example.com/",
    ]
