"""Who uses a technique: software and groups, by ATT&CK's relationships. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from services.mitre.techniques.references import Reference, attack_reference
from shared.events.mitre import TechniqueUser, UserKind


class Named(msgspec.Struct):
    """A piece of software or a group; software writes its aliases into x_mitre_aliases."""

    id: str
    name: str = ""
    revoked: bool = False
    x_mitre_deprecated: bool = False
    external_references: list[Reference] = []
    aliases: list[str] = []
    x_mitre_aliases: list[str] = []


class Relationship(msgspec.Struct):
    """A relationship of any kind."""

    relationship_type: str
    source_ref: str
    target_ref: str
    revoked: bool = False
    x_mitre_deprecated: bool = False


class Users(NamedTuple):
    """The active software and groups that use a technique, each sorted by ATT&CK id."""

    software: tuple[TechniqueUser, ...] = ()
    groups: tuple[TechniqueUser, ...] = ()


NOBODY: Final = Users()
_KINDS: Final[dict[str, UserKind]] = {
    "malware": "malware",
    "tool": "tool",
    "intrusion-set": "group",
}
MODELS: Final[dict[str, type[msgspec.Struct]]] = dict.fromkeys(_KINDS, Named)
"""What objects are read as that tell who uses what, beside relationships."""


class Uses:
    """What a release says about who uses what, as its objects are read one after another."""

    def __init__(self) -> None:
        self._named: dict[str, Named] = {}
        self._pairs: list[tuple[str, str]] = []

    def name(self, item: Named) -> None:
        """Take a piece of software or a group in."""
        self._named[item.id] = item

    def relate(self, item: Relationship) -> None:
        """Take a relationship in; only those say something that are `uses` a technique and were not revoked."""
        ended = item.revoked or item.x_mitre_deprecated
        if (
            item.relationship_type == "uses"
            and item.target_ref.startswith("attack-pattern--")
            and not ended
        ):
            self._pairs.append((item.source_ref, item.target_ref))

    def by_technique(self, attack_ids: Mapping[str, str]) -> dict[str, Users]:
        """The users of each technique that has some, by its ATT&CK id.

        Args:
            attack_ids: of the techniques, by their STIX ids.
        """
        known = {
            stix_id: user
            for stix_id, item in self._named.items()
            if (user := _user(item)) is not None
        }
        found: defaultdict[str, dict[str, TechniqueUser]] = defaultdict(dict)
        for source, target in self._pairs:
            user, attack_id = known.get(source), attack_ids.get(target)
            if user is not None and attack_id is not None:
                found[attack_id][user.attack_id] = user
        return {attack_id: _sorted(users.values()) for attack_id, users in found.items()}


def _user(item: Named) -> TechniqueUser | None:
    attack_id = attack_reference(item.external_references).external_id
    kind = _KINDS.get(item.id.partition("--")[0])
    if (
        attack_id is None
        or kind is None
        or not item.name
        or item.revoked
        or item.x_mitre_deprecated
    ):
        return None
    # A name with a NUL character cannot be stored as text, and nobody writes it.
    names = [
        name
        for name in dict.fromkeys([item.name, *item.aliases, *item.x_mitre_aliases])
        if "\0" not in name
    ]
    return TechniqueUser(attack_id, names[0], kind, names[1:]) if names else None


def _sorted(users: Iterable[TechniqueUser]) -> Users:
    listed = sorted(users, key=lambda user: user.attack_id)
    return Users(
        tuple(user for user in listed if user.kind != "group"),
        tuple(user for user in listed if user.kind == "group"),
    )
