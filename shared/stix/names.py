"""Canonical domain names, URLs and e-mail addresses."""

import base64
import binascii
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import ada_url

from shared.stix.addresses import check_ipv4, ipv6, is_ipv4
from shared.stix.defang import refang
from shared.stix.vocabulary import MAX_LENGTH, NotAnObservable, excerpt

# Name spaces beside the DNS that malware uses: those of Tor, I2P, Namecoin, Emercoin and OpenNIC.
_OTHER_ROOTS = {
    "onion",
    "i2p",
    "bit",
    "bazar",
    "coin",
    "emc",
    "lib",
    "bbs",
    "chan",
    "cyb",
    "dyn",
    "epic",
    "geek",
}
_OTHER_ROOTS |= {"gopher", "indy", "libre", "neo", "null", "oss", "oz", "parody", "pirate"}
_LABELS = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}", re.ASCII)
# RFC 5322 allows braces. They are not in use, and here they are marks of defanging.
_LOCAL_PART = re.compile(r"[^\s@\"<>(){},:;\\\[\]/]{1,64}")
# As WHATWG serialises it: no dot segments, no escapes, no default port, no marks of defanging.
_PLAIN_URL = re.compile(
    r"https?://([a-z0-9_.-]+)(?:/(?:[A-Za-z0-9_~!$&+,;=:@?#-][A-Za-z0-9_~!$&+,;=:@?#.-]*+)?)+",
    re.ASCII,
)
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]*([^/\\?#]*)")
# `mailto:`, `sip:`, `tel:` …; of `name:8080/path` the part behind the colon is a port.
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,253}+:(?![0-9]{0,5}(?:[/?#\\]|$))", re.ASCII)
_ONION_LENGTH = 56
URL_SCHEME = re.compile(r"(?:https?|ftp|wss?):|[a-z][a-z0-9+-]{0,30}://", re.IGNORECASE | re.ASCII)


def read_public_suffix_list() -> str:
    """Read the public suffix list, as publicsuffix.org writes it, from the snapshot of tldextract.

    The package is not imported, which would load `requests` and 15 MiB into every process.

    Raises:
        ImportError: tldextract is not installed.
    """
    spec = find_spec("tldextract")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tldextract, whose public suffix list is used, is not installed")
    return Path(spec.submodule_search_locations[0], ".tld_set_snapshot").read_text(encoding="utf-8")


def _top_level_domains() -> frozenset[str]:
    """Every last label of the public suffix list, and the name spaces beside the DNS."""
    lines = map(str.strip, read_public_suffix_list().splitlines())
    labels = {line.rpartition(".")[2] for line in lines if line and not line.startswith("//")}
    return frozenset(
        _OTHER_ROOTS | {ada_url.idna.encode(label).decode() for label in labels if label != "*"}
    )


TOP_LEVEL_DOMAINS = _top_level_domains()


def is_plain_domain(text: str) -> bool:
    """Whether `text` is a domain name that is canonical as it stands."""
    return (
        text.rpartition(".")[2] in TOP_LEVEL_DOMAINS
        and len(text) <= 253
        and bool(_LABELS.fullmatch(text))
        and (text[-6:] != ".onion" or _is_onion(text))
        and ("xn--" not in text or _is_punycode(text))
    )


def _is_onion(name: str) -> bool:
    """Whether the checksum of an onion address of version 3 is right; others have none.

    Source: rend-spec-v3 of Tor, "Encoding onion addresses".
    """
    address = name[:-6].rpartition(".")[2]
    if len(address) != _ONION_LENGTH:
        return True
    try:
        packed = base64.b32decode(address.upper())
    except binascii.Error:
        return False
    key = packed[:32]
    checksum = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
    return packed[32:] == checksum + b"\x03"


def _is_punycode(name: str) -> bool:
    """Whether labels in ASCII form stand for letters that are written so."""
    try:
        letters = ada_url.idna.decode(name)
        return "xn--" not in letters and bool(ada_url.idna.encode(letters).decode() == name)
    except ValueError:
        return False


def domain(text: str) -> str:
    """Return the canonical name: UTS 46 ASCII form, lower case, no trailing dot, no wildcard.

    Raises:
        NotAnObservable: a single label, labels or length beyond RFC 1035, or a last label that is
            no public suffix.
    """
    if is_plain_domain(text):
        return text
    name = text.removesuffix(".").lstrip("*.")
    try:
        name = ada_url.idna.encode(name).decode("ascii").lower()
    except ValueError:
        name = ""
    name = name.removesuffix(".").lstrip(".")
    if is_plain_domain(name):
        return name
    raise _domain_error(name, text)


def _domain_error(name: str, text: str) -> NotAnObservable:
    if name == "localhost" or name.endswith((".localhost", "localhost.localdomain")):
        return NotAnObservable("loopback address", name)
    if len(name) > 253 or any(len(label) > 63 for label in name.split(".")):
        return NotAnObservable(
            "name too long", f"{excerpt(text)}: at most 63 characters a label, 253 in all"
        )
    if not re.fullmatch(r"[a-z0-9_.-]+", name) or ".." in name:
        return NotAnObservable("malformed domain name", excerpt(text))
    if "." not in name:
        return NotAnObservable("single label", excerpt(text))
    if name.rpartition(".")[2] in TOP_LEVEL_DOMAINS:
        return NotAnObservable("malformed domain name", f"{excerpt(text)}: checksum or punycode")
    return NotAnObservable("not a public suffix", f".{name.rpartition('.')[2]} in {excerpt(text)}")


def host(text: str) -> str:
    """Return the canonical domain, IPv4 or bracketed IPv6 address of a URL.

    Raises:
        NotAnObservable: none of them, or a loopback address.
    """
    if text.startswith("["):
        return f"[{ipv6(text)}]"
    return check_ipv4(text) if is_ipv4(text) else domain(text)


def url(text: str) -> str:
    """Return the canonical URL, as WHATWG serialises it. Without a scheme it is http.

    Raises:
        NotAnObservable: no URL, no host (`data:`, `file:`), or a host that is not an observable.
    """
    plain = _PLAIN_URL.fullmatch(text)
    if plain and (is_plain_domain(plain[1]) or (is_ipv4(plain[1]) and check_ipv4(plain[1]))):
        return text
    if not URL_SCHEME.match(text):
        if _OTHER_SCHEME.match(text):
            raise NotAnObservable(
                "malformed URL", f"{excerpt(text)}: two slashes expected behind the scheme"
            )
        text = f"http://{text}"
    try:
        parsed = ada_url.URL(text)
    except ValueError:
        raise NotAnObservable("malformed URL", excerpt(text)) from None
    if not parsed.hostname:
        raise NotAnObservable("URL without a host", excerpt(text))
    host(parsed.hostname)
    if is_ipv4(parsed.hostname) and _written_host(text) != parsed.hostname:
        # WHATWG reads `1`, `0x7f` and `10.1` as addresses, and lists write dates and ratios so.
        raise NotAnObservable(
            "malformed IPv4 address", f"{excerpt(text)}: four decimal numbers expected"
        )
    return _stable(parsed.href)


def _written_host(text: str) -> str:
    """The host of a URL as it is written."""
    authority = _AUTHORITY.match(text)
    return authority[1].rpartition("@")[2].partition(":")[0] if authority else ""


def _stable(href: str) -> str:
    if len(href) > MAX_LENGTH:
        raise NotAnObservable(
            "too long", f"{len(href)} characters once escaped, at most {MAX_LENGTH} are kept"
        )
    # Serialising may join parts (dot segments) to a mark of defanging, which is not canonical.
    if refang(href) != href or ada_url.normalize_url(href) != href:
        raise NotAnObservable("malformed URL", f"{excerpt(href)} has no stable form")
    return href


def email(text: str) -> str:
    """Return the canonical address: the local part unchanged, the domain canonical.

    Raises:
        NotAnObservable: not of the form local@domain, or the domain is not one.
    """
    local, at, name = text.rpartition("@")
    if local[:7].lower() == "mailto:":
        local = local[7:]
    if not at or not _LOCAL_PART.fullmatch(local):
        raise NotAnObservable("malformed e-mail address", excerpt(text))
    return f"{local}@{domain(name)}"
