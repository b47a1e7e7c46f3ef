"""Software and groups that use a technique, by ATT&CK's relationships. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from services.mitre.releases.references import ExternalReference, attack_reference
from shared.events.mitre import TechniqueUser, UserKind


class SoftwareOrGroup(msgspec.Struct):
    """A piece of software or a group; software has its aliases in x_mitre_aliases."""

    id: str
    name: str = ""
    revoked: bool = False
    x_mitre_deprecated: bool = False
    external_references: list[ExternalReference] = []
    aliases: list[str] = []
    x_mitre_aliases: list[str] = []


class Relationship(msgspec.Struct):
    """A relationship of any kind."""

    relationship_type: str
    source_ref: str
    target_ref: str
    revoked: bool = False
    x_mitre_deprecated: bool = False


class Usage(NamedTuple):
    """The active software and groups that use a technique, each sorted by ATT&CK id."""

    software: tuple[TechniqueUser, ...] = ()
    groups: tuple[TechniqueUser, ...] = ()


UNUSED: Final = Usage()
_KINDS: Final[dict[str, UserKind]] = {
    "malware": "malware",
    "tool": "tool",
    "intrusion-set": "group",
}
MODELS: Final[dict[str, type[msgspec.Struct]]] = dict.fromkeys(_KINDS, SoftwareOrGroup)
"""Models by STIX type, beside relationships."""


class UsageIndex:
    """Collects usage from a release's objects as they are read one after another."""

    def __init__(self) -> None:
        self._objects: dict[str, SoftwareOrGroup] = {}
        self._pairs: list[tuple[str, str]] = []

    def add_object(self, item: SoftwareOrGroup) -> None:
        """Add a piece of software or a group."""
        self._objects[item.id] = item

    def add_relationship(self, item: Relationship) -> None:
        """Add a relationship; only valid ones that are `uses` of a technique count."""
        if item.revoked or item.x_mitre_deprecated or item.relationship_type != "uses":
            return
        if item.target_ref.startswith("attack-pattern--"):
            self._pairs.append((item.source_ref, item.target_ref))

    def by_technique(self, attack_ids: Mapping[str, str]) -> dict[str, Usage]:
        """The usage of each technique that is used, by its ATT&CK id.

        Args:
            attack_ids: of the techniques, by their STIX ids.
        """
        users = {stix_id: _user(item) for stix_id, item in self._objects.items()}
        by_id: defaultdict[str, dict[str, TechniqueUser]] = defaultdict(dict)
        for source, target in self._pairs:
            user = users.get(source)
            attack_id = attack_ids.get(target)
            if user is not None and attack_id is not None:
                by_id[attack_id][user.attack_id] = user
        return {attack_id: _sorted(users.values()) for attack_id, users in by_id.items()}


def _user(item: SoftwareOrGroup) -> TechniqueUser | None:
    """The user as events name it; None for one that is not active or has no id or name."""
    attack_id = attack_reference(item.external_references).external_id
    kind = _KINDS.get(item.id.partition("--")[0])
    if attack_id is None or kind is None:
        return None
    if not item.name or item.revoked or item.x_mitre_deprecated:
        return None
    # A name with a NUL character cannot be stored as text.
    all_names = dict.fromkeys([item.name, *item.aliases, *item.x_mitre_aliases])
    names = [name for name in all_names if "\0" not in name]
    return TechniqueUser(attack_id, names[0], kind, names[1:]) if names else None


def _sorted(users: Iterable[TechniqueUser]) -> Usage:
    by_id = sorted(users, key=lambda user: user.attack_id)
    return Usage(
        tuple(user for user in by_id if user.kind != "group"),
        tuple(user for user in by_id if user.kind == "group"),
    )
