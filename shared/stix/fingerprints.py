"""Canonical fingerprints: hashes of files, of certificates, and of the first words of a TLS connection."""

import re
from collections.abc import Callable

from shared.stix.vocabulary import NotAnObservable, excerpt

HEX = re.compile("[0-9a-f]+")
SSDEEP = re.compile(r"[0-9]{1,10}:[A-Za-z0-9/+]{1,128}:[A-Za-z0-9/+]{1,128}", re.ASCII)
# Protocol, TLS version, SNI, two counts, ALPN; the ciphers; the extensions.
JA4 = re.compile(
    r"[qtd](?:1[0-3]|s[23]|d[1-3]|00)[di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)
_TLSH = re.compile(r"[0-9A-F]{70}", re.ASCII)


def hexadecimal(length: int) -> Callable[[str], str]:
    """Canonical form of a hash of `length` digits: lower case."""

    def normalised(text: str) -> str:
        value = text.lower()
        if len(value) != length or not HEX.fullmatch(value):
            raise NotAnObservable("malformed hash", f"{excerpt(text)}: {length} hexadecimal digits expected")
        return value

    return normalised


def ssdeep(text: str) -> str:
    """A fuzzy hash as ssdeep prints it, without the file's name."""
    if not SSDEEP.fullmatch(text):
        raise NotAnObservable("malformed hash", f"{excerpt(text)}: size:hash:hash expected")
    return text


def tlsh(text: str) -> str:
    """Canonical TLSH: 70 digits in upper case, without the version before them, which STIX and its tools do not know."""
    value = text.upper().removeprefix("T1")
    if not _TLSH.fullmatch(value):
        raise NotAnObservable("malformed hash", f"{excerpt(text)}: 70 hexadecimal digits expected")
    return value


def ja4(text: str) -> str:
    """Canonical JA4 of a TLS client, in lower case, such as `t13d1516h2_8daaf6152771_b186095e22b6`.

    The shape is that of FoxIO's technical details of JA4; its relatives (JA4S, JA4H, JA4X …) have other ones. Case
    carries nothing: the hashes are hexadecimal and all registered ALPN names are in lower case.
    """
    if not JA4.fullmatch(text):
        raise NotAnObservable("malformed JA4", f"{excerpt(text)}: a form like t13d1516h2_8daaf6152771_b186095e22b6 expected")
    return text.lower()
