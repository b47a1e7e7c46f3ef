"""Extracts the ids of ATT&CK that a text names."""

import re
from collections.abc import Iterator

from shared.stix.extract_matches import Match

ATTACK = {
    "TA": "attack-tactic",
    "T": "attack-technique",
    "S": "attack-software",
    "G": "attack-group",
    "M": "attack-mitigation",
    "C": "attack-campaign",
}
"""Types by the letters of an ATT&CK id."""
_ATTACK_ID = re.compile(
    r"(?<![0-9A-Za-z_-])(?:(T)1[0-9]{3}(?:[./][0-9]{3}(?![0-9]))?|(TA)00[0-9]{2}"
    r"|([SGM])[01][0-9]{3}|(C)00[0-9]{2})(?![0-9A-Za-z_-])"
)


def attack_ids(text: str) -> Iterator[Match]:
    """Extract the ATT&CK ids that a text names, in order of position.

    Sub-techniques are written `T1059.001` or, in URLs of ATT&CK's pages, `T1059/001`.
    """
    for mention in _ATTACK_ID.finditer(text):
        letters = mention[mention.lastindex or 1]
        yield Match(ATTACK[letters], mention[0].replace("/", "."), *mention.span())
