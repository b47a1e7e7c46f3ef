"""Canonical fingerprints of clients: JA3, JA4, user agents."""

import re

from shared.stix.vocabulary import NotAnObservable, excerpt

_JA3 = re.compile("[0-9a-f]{32}")
# FoxIO's JA4: protocol, TLS version, SNI, counts of ciphers and extensions, ALPN; then two
# truncated SHA-256.
JA4 = re.compile(
    r"[tqd](?:1[0-3]|s[23]|d[1-3]|00)[di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}",
    re.IGNORECASE | re.ASCII,
)
_MAX_USER_AGENT = 1024


def ja3(text: str) -> str:
    """Return the canonical JA3 or JA3S fingerprint: 32 hexadecimal digits, lower case.

    Raises:
        NotAnObservable: it is malformed.
    """
    value = text.lower()
    if not _JA3.fullmatch(value):
        raise NotAnObservable(
            "malformed JA3 fingerprint", f"{excerpt(text)}: 32 hexadecimal digits expected"
        )
    return value


def ja4(text: str) -> str:
    """Return the canonical JA4 fingerprint, lower case.

    Raises:
        NotAnObservable: it is malformed.
    """
    value = text.lower()
    if not JA4.fullmatch(value):
        raise NotAnObservable(
            "malformed JA4 fingerprint", f"{excerpt(text)}: as t13d1516h2_8daaf6152771_b186095e22b6"
        )
    return value


def user_agent(text: str) -> str:
    """Return the value of a User-Agent header: its blanks may be what gives a program away.

    Raises:
        NotAnObservable: it has more than 1,024 characters.
    """
    value = text.strip()
    if len(value) > _MAX_USER_AGENT:
        raise NotAnObservable(
            "too long", f"{len(value)} characters, at most {_MAX_USER_AGENT} are kept"
        )
    return value
