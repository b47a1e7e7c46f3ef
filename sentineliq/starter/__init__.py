"""The starter of a fresh installation: feeds, ATT&CK, one rule; `starter.yaml` has the data."""

from importlib.resources import files
from typing import Any

import msgspec

_FOLDER = files(__package__)


class StarterFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feed.

    Attributes:
        url: where its provider publishes it.
        file: the sample that ships with SentinelIQ, in the same layout.
        every_seconds: how often it is fetched.
        settings: its format and how reliable it is; fields of the feeds API.
    """

    name: str
    url: str
    file: str
    every_seconds: int
    settings: dict[str, Any]

    @property
    def sample_name(self) -> str:
        """The sample's name as a feed, which must differ from the real one's."""
        return f"{self.name} (sample)"

    def sample(self) -> bytes:
        """The sample's bytes."""
        return _FOLDER.joinpath("feeds", self.file).read_bytes()


class StarterAttack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An ATT&CK domain, and the excerpt that ships with SentinelIQ."""

    domain: str
    file: str

    def sample(self) -> bytes:
        """The excerpt's bytes."""
        return _FOLDER.joinpath("attack", self.file).read_bytes()


class Starter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole starter; `rule` and `channel` as the notifications API takes them."""

    feeds: list[StarterFeed]
    attack: StarterAttack
    rule: dict[str, Any]
    channel: dict[str, Any]


def load_starter() -> Starter:
    """Read `starter.yaml`."""
    return msgspec.yaml.decode(_FOLDER.joinpath("starter.yaml").read_bytes(), type=Starter)
