"""Extraction beside iocsearcher: what only iocsearcher finds must have a rule that explains it."""

import random
import re
import warnings
from collections.abc import Callable, Iterator
from hashlib import md5, sha1, sha256
from ipaddress import IPv4Address, IPv6Address

import pytest

from shared.stix import NotAnObservable, defang, normalise
from shared.stix import ObservableType as T
from shared.stix.extract import attack_ids, extract
from tests.conftest import SAMPLE_DATA
from tests.shared.stix.strategies import WALLETS

KINDS = {
    "ip4": T.IPV4, "ip6": T.IPV6, "ip4Net": T.IPV4, "fqdn": T.DOMAIN, "onionAddress": T.DOMAIN,
    "url": T.URL, "email": T.EMAIL, "md5": T.MD5, "sha1": T.SHA1, "sha256": T.SHA256,
    "cve": T.VULNERABILITY, "bitcoin": T.WALLET, "ethereum": T.WALLET, "litecoin": T.WALLET,
    "dogecoin": T.WALLET, "tron": T.WALLET, "monero": T.WALLET, "registry": T.REGISTRY_KEY,
}  # fmt: skip
"""Kinds of both; those of iocsearcher alone (social networks, phones, IBANs) are no observables."""

Pair = tuple[str, str]
WORDS = re.findall(
    r"\S+",
    "the actor used a loader that contacts its server over port and drops files into the folder "
    "of the user before it sleeps for some hours campaign targets energy sector in several "
    "countries e.g. i.e. node.js 12.5 v2",
)


class Text:
    """A text and the observables that are extracted from it."""

    def __init__(self, text: str) -> None:
        self.text = text
        matches = list(extract(text))
        self.pairs: set[Pair] = {(match.type, match.value) for match in matches}
        self.pairs |= {("attack", match.value) for match in attack_ids(text)}
        self.parts = {part for match in matches for part in _parts(match.type, match.value)}


def _parts(kind: str, value: str) -> Iterator[Pair]:
    """Yield the observables that are part of a match."""
    if kind == T.URL:
        inner = value.partition("://")[2]
        host = re.split(r"[/?#]", inner)[0].rpartition("@")[2]
        yield from _read(
            host if host.startswith("[") else host.partition(":")[0], T.DOMAIN, T.IPV4, T.IPV6
        )
        for piece in re.split(r"[/?#&=@:]+", inner):
            yield from _read(piece, T.DOMAIN, T.IPV4, T.MD5, T.SHA1, T.SHA256)
    elif kind == T.EMAIL:
        yield from _read(value.rpartition("@")[2], T.DOMAIN)
    elif kind in {T.IPV4, T.IPV6} and "/" in value:
        yield kind, value.partition("/")[0]


def _read(text: str, *kinds: T) -> Iterator[Pair]:
    for kind in kinds:
        try:
            yield kind, normalise(kind, text.strip("[]"))
        except NotAnObservable:
            continue


def _is_part(text: Text, pair: Pair) -> bool:
    return pair in text.parts


def _is_version(text: Text, pair: Pair) -> bool:
    """A dotted number that always stands behind a word like `version`, or behind `Product/`."""
    if pair[0] != T.IPV4:
        return False
    before = [
        text.text[max(0, mention.start() - 12) : mention.start()]
        for mention in re.finditer(re.escape(pair[1]), text.text)
    ]
    return bool(before) and all(
        re.search(r"(?i)(version|build|release)\s*$|[a-z]/$", each) for each in before
    )


def _is_file(text: Text, pair: Pair) -> bool:
    """A name of two labels that is a file's, `setup.py`."""
    return pair[0] == T.DOMAIN and bool(
        re.fullmatch(r"[^.]+\.(py|sh|pl|rs|md|zip|app|so|java)", pair[1])
    )


def _is_package(_: Text, pair: Pair) -> bool:
    """A name that begins with a public suffix, like a package of Java: `com.example.app`."""
    return pair[0] == T.DOMAIN and bool(re.match(r"(com|org|net|java|android)\.", pair[1]))


def _around(text: Text, pair: Pair, pattern: str) -> bool:
    """Whether the surroundings of every mention of a value match a pattern."""
    surroundings = re.compile(pattern.format(re.escape(pair[1])), re.IGNORECASE)
    mentions = re.finditer(re.escape(pair[1]), text.text, re.IGNORECASE)
    starts = [max(0, mention.start() - 1) for mention in mentions]
    return bool(starts) and all(surroundings.match(text.text, start) for start in starts)


def _is_in_path(text: Text, pair: Pair) -> bool:
    """A name behind a slash, in a list of paths: `/le.arm.bot`; also the end of one, `arm.bot`."""
    return pair[0] == T.DOMAIN and _around(text, pair, r"[\w/.\\-]{}")


def _is_in_word(text: Text, pair: Pair) -> bool:
    """The beginning of a longer word, mostly a file's name: `cert.gov.ua_CERT-UA-3799`."""
    return pair[0] == T.DOMAIN and _around(text, pair, r"(?s).?{}(\.?[\w-]|\()")


def _is_row(text: Text, pair: Pair) -> bool:
    """A URL that continues into the next column, `http://evil.com/a,<hash>`, where a match ends."""
    heads = (pair[1][: comma.start()] for comma in re.finditer(",", pair[1]))
    return pair[0] == T.URL and any((T.URL, head) in text.pairs for head in heads)


def _is_technique(text: Text, pair: Pair) -> bool:
    """A technique of which only sub-techniques are named."""
    return pair[0] == "attack" and _around(text, pair, r"(?s).{}[./][0-9]{{3}}")


RULES: dict[str, Callable[[Text, Pair], bool]] = {
    "part of a URL, an address or a network that matches": _is_part,
    "a version": _is_version,
    "a file": _is_file,
    "a package": _is_package,
    "a name in a path": _is_in_path,
    "a part of a longer word": _is_in_word,
    "a URL and the columns behind it": _is_row,
    "a technique whose sub-technique matches": _is_technique,
}


@pytest.fixture(scope="module")
def peer() -> Callable[[str], set[Pair]]:
    """What iocsearcher finds in a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        searcher = pytest.importorskip("iocsearcher.searcher", exc_type=ImportError).Searcher()

    def search(text: str) -> set[Pair]:
        pairs: set[Pair] = set()
        for mention in searcher.search_data(text):
            if mention.name == "ttp":
                pairs.add(("attack", mention.value))
            elif mention.name in KINDS:
                pairs |= set(_read(mention.value, KINDS[mention.name]))
        return pairs

    return search


def unexplained(text: str, peer: Callable[[str], set[Pair]]) -> dict[Pair, str]:
    """What only iocsearcher finds and no rule explains; each with its surroundings."""
    read = Text(text)
    missing = {}
    for kind, value in peer(text) - read.pairs:
        if not any(rule(read, (kind, value)) for rule in RULES.values()):
            at = text.find(value)
            missing[kind, value] = text[max(0, at - 40) : at + 60]
    return missing


def _values(chance: random.Random) -> list[str]:
    """Values of all kinds of both."""

    def name() -> str:
        label = "".join(
            chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randrange(4, 12))
        )
        ending = chance.choice(["com", "net", "org", "ru", "co.uk", "top"])
        return f"{chance.choice(['', 'www.', 'a-b.'])}x{label}.{ending}"

    def address() -> str:
        return str(IPv4Address(chance.randrange(0x0B000000, 0xDF000000)))

    values = [name() for _ in range(40)] + [address() for _ in range(40)]
    values += [
        f"http{chance.choice(['', 's'])}://{name()}/{chance.choice(['', 'a', 'a/b.php?c=d'])}"
        for _ in range(40)
    ]
    values += [f"http://{address()}:8080/{chance.choice(['', 'gate.php'])}" for _ in range(10)]
    values += [f"user{number}@{name()}" for number in range(20)]
    values += [str(IPv6Address(0x2606 << 112 | chance.getrandbits(64))) for _ in range(20)]
    values += [
        f"{IPv4Address(chance.randrange(0x0B000000, 0xDF000000) & ~255)}/24" for _ in range(10)
    ]
    for number in range(10):
        for make in (md5, sha1, sha256):
            values.append(make(str(number).encode()).hexdigest())
    values += [f"CVE-20{number:02}-{number + 1000}" for number in range(10, 25)]
    return [*values, *WALLETS, r"HKEY_LOCAL_MACHINE\Software\Evil", r"HKCU\Software\Run"]


def report(chance: random.Random, sentences: int) -> str:
    """Prose with values of all kinds, a third defanged, beside versions, files and marks."""
    values = _values(chance)
    lines = []
    for _ in range(sentences):
        words = chance.choices(WORDS, k=12)
        value = chance.choice(values)
        may_be_defanged = value.isascii() and not value.isalnum() and "CVE" not in value
        if chance.random() < 0.3 and "\\" not in value and may_be_defanged:
            value = defang(value)
        surroundings = chance.choice(
            ["{}", "({})", '"{}"', "{},", "{}.", "<{}>", "{};", "`{}`", "IOC: {}", "\t{}\t", "- {}"]
        )
        words[chance.randrange(12)] = surroundings.format(value)
        words[chance.randrange(12)] = chance.choice(
            ["setup.py", "version 9.8.7.6", "build 10.4.3.2", "T1059.001"]
        )
        lines.append(" ".join(words))
    return chance.choice(["\n", "\r\n", ". "]).join(lines)


@pytest.mark.parametrize("seed", range(6))
def test_generated_reports(peer: Callable[[str], set[Pair]], seed: int) -> None:
    text = report(random.Random(seed), 1_500)  # noqa: S311  # test data
    assert unexplained(text, peer) == {}


SAMPLES = ["aptnotes.csv", "ipsum.txt", "maltrail-elf-mirai.txt", "maltrail-emotet.txt",
           "misp-event-ebury.json", "misp-event-winter-vivern.json", "stix21-poison-ivy.json",
           "README.md"]  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_real_files(peer: Callable[[str], set[Pair]], name: str) -> None:
    path = SAMPLE_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here; SENTINELIQ_SAMPLE_DATA says where it is")
    assert unexplained(path.read_text(errors="replace")[:150_000], peer) == {}
