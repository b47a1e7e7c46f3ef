"""Observables in prose: what is found, where, and what merely looks like one."""

import sys
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.stix import ObservableType as T
from shared.stix import defang, normalise
from shared.stix.extract import attack_ids, extract

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
TLSH = "0f" + "1a2b3c4d5e6f708192" * 3 + "0123456789abcd"
FUZZY = (
    "96:s4Ud1Lj96tHHlZDrwciQmA+4uy1I0G4HYuL8N3TzS8QsO/wqWXLcMSx:sF1LjEtHHlZDrJzrhuyZvHYm8tKp/RWO"
)


def pairs(text):
    return [(match.type, match.value) for match in extract(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("192.0.2.1", T.IPV4, "192.0.2.1"),
        ("192[.]0[.]2[.]1", T.IPV4, "192.0.2.1"),
        ("192.0.2[.]1:8080", T.IPV4, "192.0.2.1"),
        ("192.0.2.77/24", T.IPV4, "192.0.2.77"),
        ("root@192.0.2.1", T.IPV4, "192.0.2.1"),
        ("2001:DB8::1", T.IPV6, "2001:db8::1"),
        ("[2001:db8::1]:443", T.IPV6, "2001:db8::1"),
        ("2001[:]db8[:][:]1", T.IPV6, "2001:db8::1"),
        ("2001:db8::/32", T.IPV6, "2001:db8::/32"),
        ("::ffff:192.0.2.1", T.IPV6, "::ffff:192.0.2.1"),
        ("evil.com", T.DOMAIN, "evil.com"),
        ("Evil[.]COM", T.DOMAIN, "evil.com"),
        ("evil(.)com", T.DOMAIN, "evil.com"),
        ("evil{.}com", T.DOMAIN, "evil.com"),
        ("evil[[.]]com", T.DOMAIN, "evil.com"),
        ("evil [.] com", T.DOMAIN, "evil.com"),
        ("www (dot) evil (dot) com", T.DOMAIN, "www.evil.com"),
        ("www[.evil[.com", T.DOMAIN, "www.evil.com"),
        ("www.]evil.]com", T.DOMAIN, "www.evil.com"),
        ("192 [.] 0 [.] 2 [.] 1", T.IPV4, "192.0.2.1"),
        ("www[dot]evil[DOT]com", T.DOMAIN, "www.evil.com"),
        (r"evil\.com", T.DOMAIN, "evil.com"),
        ("evil.com:8443", T.DOMAIN, "evil.com"),
        ("evil.com/", T.DOMAIN, "evil.com"),
        ("*.evil.com", T.DOMAIN, "evil.com"),
        ("@evil.com", T.DOMAIN, "evil.com"),
        ("пример.рф", T.DOMAIN, "xn--e1afmkfd.xn--p1ai"),
        ("http://evil.com", T.URL, "http://evil.com/"),
        ("hxxp://evil[.]com/a?b=c", T.URL, "http://evil.com/a?b=c"),
        ("hXXps[:]//evil[.]com/a", T.URL, "https://evil.com/a"),
        ("hxxps[://]evil[.]com/a", T.URL, "https://evil.com/a"),
        ("h**p://evil[.]com/a", T.URL, "http://evil.com/a"),
        ("fxp://evil.com/a", T.URL, "ftp://evil.com/a"),
        ("http__evil.com/a", T.URL, "http://evil.com/a"),
        ("hxxps__evil[.]com", T.URL, "https://evil.com/"),
        ("https:__evil.com/a?b", T.URL, "https://evil.com/a?b"),
        ("hxxps[:]//evil[.]com[/]a[.]php", T.URL, "https://evil.com/a.php"),
        ("hxxps[:][/][/]evil[.]com[/]a", T.URL, "https://evil.com/a"),
        ("https://evil[.com/a", T.URL, "https://evil.com/a"),
        ("http://www.]evil.]com/a", T.URL, "http://www.evil.com/a"),
        ("http://evil.com/?a[]=1&b[x]=2", T.URL, "http://evil.com/?a[]=1&b[x]=2"),
        ("http://[2001:db8::1]:8080/a", T.URL, "http://[2001:db8::1]:8080/a"),
        (r"http:\/\/evil.com\/a", T.URL, "http://evil.com/a"),
        ("hxxp://192[.]0[.]2[.]1:8080/a", T.URL, "http://192.0.2.1:8080/a"),
        ("evil[.]com/gate.php", T.URL, "http://evil.com/gate.php"),
        ("192.0.2.1:81/gate.php", T.URL, "http://192.0.2.1:81/gate.php"),
        ("http://a@evil.com/a.b@c.com", T.URL, "http://a@evil.com/a.b@c.com"),
        ("a.b+c@evil.com", T.EMAIL, "a.b+c@evil.com"),
        ("a[at]evil[.]com", T.EMAIL, "a@evil.com"),
        ("a[@]evil(dot)com", T.EMAIL, "a@evil.com"),
        ("a [at] evil [dot] com", T.EMAIL, "a@evil.com"),
        (MD5.upper(), T.MD5, MD5),
        (SHA1, T.SHA1, SHA1),
        (SHA256, T.SHA256, SHA256),
        (SHA256 * 2, T.SHA512, SHA256 * 2),
        (f"sha256:{SHA256}.exe", T.SHA256, SHA256),
        (f"VirusShare_{MD5}", T.MD5, MD5),
        (FUZZY, T.SSDEEP, FUZZY),
        (TLSH, T.TLSH, TLSH.upper()),
        (f"T1{TLSH}", T.TLSH, TLSH.upper()),
        (":".join(["AB"] * 20), T.X509_SHA1, "ab" * 20),
        ("cve-2024-1234-exploit", T.VULNERABILITY, "CVE-2024-1234"),
        ("CVE\u20112024\u20111234", T.VULNERABILITY, "CVE-2024-1234"),
        ("AS64500", T.ASN, "AS64500"),
        ("ASN: 64500", T.ASN, "AS64500"),
        ("00:11:22:AA:BB:CC", T.MAC, "00:11:22:aa:bb:cc"),
        ("00-11-22-AA-BB-CC", T.MAC, "00:11:22:aa:bb:cc"),
        ("0011.22aa.bbcc", T.MAC, "00:11:22:aa:bb:cc"),
        (
            r"HKCU\Software\Microsoft\Windows NT\Run",
            T.REGISTRY_KEY,
            r"HKEY_CURRENT_USER\Software\Microsoft\Windows NT\Run",
        ),
        (r"HKLM:\Software\\Evil", T.REGISTRY_KEY, r"HKEY_LOCAL_MACHINE\Software\Evil"),
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "It is at {}, they say.", "({})", '"{}":', "<{}>", "|{}|", "`{}`.", "是{}。"]
)
def test_it_is_found_in_whatever_stands_around(text, kind, value, around):
    if around == "是{}。" and not text.isascii():
        return
    prose = around.format(text)
    assert pairs(prose) == [(kind, value)]


def test_mentions_come_in_order_with_their_places():
    prose = f"hxxp://evil[.]com/a (not evil.com), then {MD5} and a@evil[.]com; evil[.]com.The rest."
    assert [prose[match.start : match.end] for match in extract(prose)] == [
        "hxxp://evil[.]com/a", "evil.com", MD5, "a@evil[.]com", "evil[.]com",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "setup.py main.rs index.sh README.md libc.so Installer.app update.zip Some.Big.Archive.zip",
        "e.g. this, i.e. that, a.m. and p.m. in the U.S. and the U.K.",
        "os.system('x'), foo.bar(), self.name, window.open, System.IO, ASP.NET, com.example.app",
        "They were infected.In May it ended.So what?",
        "version 1.2.3.4, v1.2.3.4, v 1.2.3.4, build 10.0.0.1, Chrome/109.0.0.1",
        "1.3.6.1.4.1, 1.2.3, 300.1.1.1",
        "192.0.2.4/0",
        "127.0.0.1 0.0.0.0 ::1 localhost http://localhost/a http://127.0.0.1:80/a",
        "http://server01/a",
        "12:34:56, std::string, Foo::Bar, ::add, 10:30, a::b",
        "/usr/lib/evil.com/x $evil.com",
        "as 2000 people did; T1059.001 and S0154",
        "550e8400-e29b-41d4-a716-446655440000 " + "0" * 32 + " " + "a1" * 24,
        "and/or, either/or, 24/7, 2024-01-01T00:00:00Z, 1,000.00, 50%, C:\\, a\\b",
        "a@b@evil.com root@localhost @ @@ a@ @b",
    ],
)
def test_what_merely_looks_like_an_observable_is_not_found(text):
    assert pairs(text) == []


def test_a_file_ending_that_is_a_domain_counts_when_it_is_meant():
    text = "evil[.]zip www.policja.pl allegro.pl/oferta http://main.rs"
    assert [value for _, value in pairs(text)] == [
        "evil.zip", "www.policja.pl", "http://allegro.pl/oferta", "http://main.rs/",
    ]  # fmt: skip


def test_lists_and_markup_are_taken_apart():
    urls = ["http://a.example.com/x", "http://b.example.com/y"]
    for text in (
        ",".join(urls),
        ";".join(urls),
        f"[{urls[0]}]({urls[1]})",
        f'["{urls[0]}","{urls[1]}"]',
    ):
        assert [value for _, value in pairs(text)] == urls
    assert pairs("(see https://example.com/wiki/Foo_(bar))") == [
        (T.URL, "https://example.com/wiki/Foo_(bar)")
    ]
    assert [value for _, value in pairs("192.0.2.1-192.0.2.9")] == ["192.0.2.1", "192.0.2.9"]
    assert [value for _, value in pairs("a.example.com/b[.]example[.]com")] == [
        "a.example.com",
        "b.example.com",
    ]
    keys = r"HKLM\Software\A B\Run and HKCU\Software\C"
    assert [keys[match.start : match.end] for match in extract(keys)] == [
        r"HKLM\Software\A B\Run",
        r"HKCU\Software\C",
    ]


@pytest.mark.parametrize(
    "markup",
    [
        "[a post]({})",
        "[a post]({} 'its title')",
        "<{}>",
        "{}[the paper, PDF]",
        "link:{}[the paper]",
        "[{} the wiki]",
        "[url={}]the page[/url]",
        "[url]{}[/url]",
        "`the page <{}>`_",
        '<a href="{}">the page</a>',
        "[[{}|the page]]",
        "[1]: {}",
        "![shot]({})",
    ],
)
@pytest.mark.parametrize(
    "url", ["https://evil.com/a/b.pdf", "hxxps://evil[.]com/a", "http://evil.com/a?b[]=1"]
)
def test_markup_around_a_link_is_no_part_of_it(markup, url):
    assert pairs(f"See {markup.format(url)} for more.") == [(T.URL, normalise(T.URL, url))]


def test_names_end_where_scripts_without_blanks_begin():
    assert pairs("サイトevil.comに") == [(T.DOMAIN, "evil.com")]
    assert pairs("访问http://evil.com/a。然后") == [(T.URL, "http://evil.com/a")]


_label = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=2, max_size=10).filter(
    lambda text: text[0].isalpha()
)
_names = st.builds(
    lambda first, second, end: f"{first}.{second}.{end}",
    _label,
    _label,
    st.sampled_from(["com", "net", "co.uk"]),
)
_planted = st.one_of(
    st.tuples(st.just(T.DOMAIN), _names),
    st.tuples(st.just(T.IPV4), st.ip_addresses(v=4, network="198.51.100.0/24").map(str)),
    st.tuples(st.just(T.IPV6), st.ip_addresses(v=6, network="2001:db8::/32").map(str)),
    st.tuples(
        st.just(T.URL), st.builds(lambda name, path: f"https://{name}/{path}", _names, _label)
    ),
    st.tuples(st.just(T.EMAIL), st.builds(lambda local, name: f"{local}@{name}", _label, _names)),
)
_between = [
    "the",
    "actor,",
    "(who)",
    "sent:",
    "it.",
    "“Then”",
    "—",
    "7",
    "times;",
    "in",
    "May",
    "|",
    "2024",
    "\n",
    "=",
    "...",
]
_words = st.lists(st.sampled_from(_between), max_size=5).map(" ".join)


@given(st.lists(st.tuples(_words, _planted, st.booleans()), max_size=8), _words)
def test_what_is_planted_in_prose_is_found_at_its_place(pieces, last):
    prose = ""
    planted = []
    for words, (kind, value), hidden in pieces:
        spelled = defang(value) if hidden else value
        prose += f"{words} "
        planted.append((kind, value, len(prose), len(prose) + len(spelled)))
        prose += f"{spelled} "
    assert list(extract(prose + last)) == planted


@given(st.text() | st.text("ahx1.:/[]()@\\-_%+ \n中é", max_size=80))
@settings(max_examples=300)
def test_any_text_gives_canonical_values_in_order_without_overlap(text):
    last = 0
    for kind, value, start, end in extract(text):
        assert last <= start < end <= len(text)
        assert normalise(kind, value) == value
        last = end


HOSTILE = [
    "a.", "a.a ", "a@", "@", "http://", "http://a.com](", "),http://a.co", "[.", "[.]", "a[.",
    "{{{.", "1", "1.", "1:",
    "::", "::1", ":", "/", "a.com/", "a.com/x?", "a.com/x[.", "a[.]com/", "1.2.3.4/", "1.2.3.4-",
    "a+", "%a", "a\\",
    "HKLM\\", "HKLM\\a ", "HKLM\\a b c d e ", "f", "f" * 32 + "-", "3:aaaaaaa:aaa ", "CVE-2024-",
    "a.b.The.", "h**p",
    "-a", "\\",
    "hxxp[:]//", "中", "中http://", "é", " ", "[:]", "T1059.", "(", ")", "http://a)", "C:\\a b",
]  # fmt: skip


@pytest.mark.parametrize("text", ["a.-", "a.-_ b", "a[.]-", "evil.com/x a.b.-"])
def test_a_dot_before_a_hyphen_ends_no_name(text):
    assert all(match.value != "a" for match in extract(text))


def steps(text):
    """Count the lines of Python that extraction runs; bench.extract measures the patterns."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for match in extract(text):
            assert match.end > match.start
    finally:
        sys.settrace(before)
    return count


units = st.lists(
    st.sampled_from(HOSTILE) | st.text("aA1.:/@[](){}\\,+-%_ hxtp", min_size=1, max_size=6),
    min_size=1,
    max_size=4,
).map("".join)


@settings(max_examples=60)
@given(units)
def test_no_repeated_unit_is_more_work_than_its_length(unit):
    few = steps(unit * 100)
    many = steps(unit * 800)
    # Eight times the text is eight times the work; some of it is done once, whatever the length.
    assert many <= 9 * few + 2_000


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_is_read_in_linear_time(unit):
    # Quadratic, any of them takes minutes.
    text = unit * (200_000 // len(unit))
    for match in extract(text):
        assert match.end > match.start
    assert sum(1 for _ in attack_ids(text)) <= len(text) // 5


def test_an_overlong_url_is_passed_over():
    assert pairs(f"http://evil.com/{'a' * 100_000} 192.0.2.1") == [(T.IPV4, "192.0.2.1")]


def test_attack_ids_are_no_observables():
    text = (
        "T1059, T1059.001; TA0002 (S0154) G0016 M1036 C0022 techniques/T1566/002/ "
        "T9999 AT1059 T10591"
    )
    assert [
        (match.type, match.value, text[match.start : match.end]) for match in attack_ids(text)
    ] == [
        ("attack-technique", "T1059", "T1059"),
        ("attack-technique", "T1059.001", "T1059.001"),
        ("attack-tactic", "TA0002", "TA0002"),
        ("attack-software", "S0154", "S0154"),
        ("attack-group", "G0016", "G0016"),
        ("attack-mitigation", "M1036", "M1036"),
        ("attack-campaign", "C0022", "C0022"),
        ("attack-technique", "T1566.002", "T1566/002"),
    ]


REPORT = f"""The loader (setup.py, {MD5}) calls hxxps://cdn[.]evil-stage[.]com/load.php?id=7, then
8.8.4.4 and update[.]evil-stage[.]net. Mails came from billing@evil-mail.com. It needs
CVE-2024-12345 and installs version 9.9.9.10 of the tool under HKLM\\Software\\Evil. T1059.001 fits.
SHA256: {SHA256}. evil-path.org/gate.php answers; so does
http://1.1.1.2:8080/x and 2606:4700:4700::1111, see AS64500 or mirror(.)evil-stage(.)org"""


def test_against_another_extractor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        searcher = pytest.importorskip("iocsearcher.searcher", exc_type=ImportError).Searcher()
    kinds = {"ip4": T.IPV4, "ip6": T.IPV6, "fqdn": T.DOMAIN, "url": T.URL, "email": T.EMAIL,
             "md5": T.MD5, "sha256": T.SHA256, "cve": T.VULNERABILITY}  # fmt: skip
    peer_pairs = {
        (kinds[mention.name], normalise(kinds[mention.name], mention.value))
        for mention in searcher.search_data(REPORT)
        if mention.name in kinds
    }
    own_pairs = set(pairs(REPORT))
    assert peer_pairs - own_pairs == {
        (T.DOMAIN, "setup.py"),  # a file
        (T.IPV4, "9.9.9.10"),  # a version
        *(
            (T.DOMAIN, host) for host in ("cdn.evil-stage.com", "evil-path.org", "evil-mail.com")
        ),  # parts of others
        (T.IPV4, "1.1.1.2"),  # part of a URL
    }
    assert own_pairs - peer_pairs == {
        (T.ASN, "AS64500"),
        (T.REGISTRY_KEY, r"HKEY_LOCAL_MACHINE\Software\Evil"),
    }
