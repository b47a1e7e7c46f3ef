"""Profiles: how wide an entry of a list may be."""

from typing import Final, Literal, NamedTuple

ProfileName = Literal["strict", "standard", "wide"]


class WidthProfile(NamedTuple):
    """How wide a network may be, in bits of its prefix."""

    ipv4_bits: int
    ipv6_bits: int


PROFILES: Final[dict[str, WidthProfile]] = {
    "strict": WidthProfile(32, 64),
    "standard": WidthProfile(16, 32),
    "wide": WidthProfile(8, 19),
}
"""Beyond `wide` no network is one organisation's: registries hand out no more at a time."""
