"""What a fresh installation begins with: feeds, ATT&CK, one rule. The data is in `starter.yaml`."""

from importlib.resources import files
from typing import Any

import msgspec

_HERE = files(__package__)


class StarterFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feed to begin with.

    Attributes:
        url: where its provider publishes it.
        file: the sample that ships with us, in the same layout.
        every_seconds: how often it is fetched.
        settings: how it is read and how far it is believed; fields of the feeds API.
    """

    name: str
    url: str
    file: str
    every_seconds: int
    settings: dict[str, Any]

    @property
    def sample_name(self) -> str:
        """The sample's name as a feed: it must never pass for the real one."""
        return f"{self.name} (sample)"

    def sample(self) -> bytes:
        """The sample's bytes."""
        return _HERE.joinpath("feeds", self.file).read_bytes()


class StarterAttack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ATT&CK domain to begin with, and the excerpt that ships with us."""

    domain: str
    file: str

    def sample(self) -> bytes:
        """The excerpt's bytes."""
        return _HERE.joinpath("attack", self.file).read_bytes()


class Starter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it; `rule` and `channel` as the notifications API takes them."""

    feeds: list[StarterFeed]
    attack: StarterAttack
    rule: dict[str, Any]
    channel: dict[str, Any]


def load_starter() -> Starter:
    """Read `starter.yaml`."""
    return msgspec.yaml.decode(_HERE.joinpath("starter.yaml").read_bytes(), type=Starter)
