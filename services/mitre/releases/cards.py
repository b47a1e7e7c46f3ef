"""Techniques as cards: the content of ATT&CK's objects and relationships in flat records. No I/O.

Source of the semantics: https://github.com/mitre/cti/blob/master/USAGE.md (extensions of the ATT&CK
spec).
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from services.mitre.releases import usage
from services.mitre.releases.references import ExternalReference, attack_reference
from services.mitre.releases.usage import (
    UNUSED,
    Relationship,
    SoftwareOrGroup,
    Usage,
    UsageIndex,
)
from shared.errors import InvalidInput
from shared.events.mitre import TechniqueCard


class _Phase(msgspec.Struct):
    kill_chain_name: str
    phase_name: str


class _Pattern(msgspec.Struct):
    id: str
    name: str
    description: str = ""
    modified: str = ""
    revoked: bool = False
    x_mitre_deprecated: bool = False
    x_mitre_version: str | None = None
    external_references: list[ExternalReference] = []
    kill_chain_phases: list[_Phase] = []
    x_mitre_platforms: list[str] = []


class _Tactic(msgspec.Struct):
    x_mitre_shortname: str
    external_references: list[ExternalReference] = []


class _Matrix(msgspec.Struct):
    external_references: list[ExternalReference] = []


class _Collection(msgspec.Struct):
    name: str
    x_mitre_version: str


_MODELS: Final[dict[str, type[msgspec.Struct]]] = {
    "attack-pattern": _Pattern,
    "relationship": Relationship,
    "x-mitre-tactic": _Tactic,
    "x-mitre-matrix": _Matrix,
    "x-mitre-collection": _Collection,
    **usage.MODELS,
}


class Technique(msgspec.Struct, frozen=True):
    """A technique as one release has it.

    Attributes:
        attack_id: for instance T1059.004.
        stix_id: attack-pattern--….
        description: Markdown with ATT&CK's citation marks.
        tactics: short names of its kill-chain phases, in ATT&CK's order.
        tactic_ids: the tactics' own ids (TA0002), which outlive their names; of those that the
            bundle describes.
        parent: attack id of the technique a sub-technique belongs to.
        revoked_by: attack id that takes its place.
        own_version: the technique's own version; MITRE raises it when the content changes.
    """

    attack_id: str
    stix_id: str
    name: str
    description: str = ""
    tactics: list[str] = []
    tactic_ids: list[str] = []
    platforms: list[str] = []
    parent: str | None = None
    revoked: bool = False
    revoked_by: str | None = None
    deprecated: bool = False
    url: str | None = None
    own_version: str | None = None

    @property
    def digest(self) -> bytes:
        """BLAKE2b-128 of the content."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=16).digest()

    @property
    def is_active(self) -> bool:
        """Whether it is neither revoked nor deprecated."""
        return not (self.revoked or self.deprecated)

    def card(self, domain: str, version: str, usage: Usage = UNUSED) -> TechniqueCard:
        """The technique as it is published, with the software and groups that use it."""
        return TechniqueCard(
            attack_id=self.attack_id,
            stix_id=self.stix_id,
            name=self.name,
            domain=domain,
            version=version,
            tactics=self.tactics,
            platforms=self.platforms,
            parent=self.parent,
            revoked=self.revoked,
            revoked_by=self.revoked_by,
            deprecated=self.deprecated,
            url=self.url,
            software=list(usage.software),
            groups=list(usage.groups),
        )


class BundleObjects:
    """Collects the objects of a bundle that cards are made of, as they are read."""

    def __init__(self) -> None:
        self.collection: _Collection | None = None
        self.place: str | None = None
        self.matrices: dict[str, str] = {}
        self.patterns: dict[str, _Pattern] = {}
        self.tactics: dict[str, str] = {}
        self.links: dict[tuple[str, str], str] = {}
        self.usage = UsageIndex()

    @staticmethod
    def model(stix_type: str) -> type[msgspec.Struct] | None:
        """The model of a STIX type; None when cards do not need it."""
        return _MODELS.get(stix_type)

    def add(self, item: msgspec.Struct, where: str) -> None:
        """Add an object.

        Raises:
            InvalidInput: it is a second collection, or a text of it has a NUL character.
        """
        match item:
            case _Pattern():
                self._add_pattern(item, where)
            case Relationship(revoked=False, x_mitre_deprecated=False):
                # A revoked relationship does not count.
                self.usage.add_relationship(item)
                if item.relationship_type in {"subtechnique-of", "revoked-by"}:
                    self.links[item.relationship_type, item.source_ref] = item.target_ref
            case SoftwareOrGroup():
                self.usage.add_object(item)
            case _Tactic():
                self.tactics[item.x_mitre_shortname] = (
                    attack_reference(item.external_references).external_id or ""
                )
            case _Matrix():
                self.matrices[attack_reference(item.external_references).external_id or ""] = where
            case _Collection():
                if self.collection is not None:
                    raise InvalidInput(
                        "The bundle has two x-mitre-collection objects.", where=where
                    )
                self.collection = item
                self.place = f"{where}.x_mitre_version"

    def _add_pattern(self, item: _Pattern, where: str) -> None:
        if "\0" in item.name or "\0" in item.description:
            raise InvalidInput(
                f"{where} has a NUL character in its name or description.", where=where
            )
        other = self.patterns.get(item.id)
        if other is None or other.modified <= item.modified:
            self.patterns[item.id] = item


def build_cards(objects: BundleObjects) -> dict[str, Technique]:
    """Cards by ATT&CK id.

    Of several objects with one id the active one counts, then the one changed last.
    """
    ids = {
        stix_id: attack_reference(item.external_references).external_id
        for stix_id, item in objects.patterns.items()
    }
    cards: dict[str, Technique] = {}
    # The object that counts comes last and takes the id.
    for item in sorted(objects.patterns.values(), key=_precedence):
        attack_id = ids[item.id]
        if attack_id is not None:
            cards[attack_id] = _card(item, attack_id, objects, ids)
    return dict(sorted(cards.items()))


def build_usage(index: UsageIndex, techniques: Mapping[str, Technique]) -> dict[str, Usage]:
    """The usage of each technique that is used, by its ATT&CK id."""
    return index.by_technique({card.stix_id: card.attack_id for card in techniques.values()})


def _precedence(item: _Pattern) -> tuple[bool, str, str]:
    return not (item.revoked or item.x_mitre_deprecated), item.modified, item.id


def _card(
    item: _Pattern, attack_id: str, objects: BundleObjects, ids: dict[str, str | None]
) -> Technique:
    tactics = list(dict.fromkeys(phase.phase_name for phase in item.kill_chain_phases))
    return Technique(
        attack_id=attack_id,
        stix_id=item.id,
        name=item.name,
        description=item.description,
        tactics=tactics,
        tactic_ids=[objects.tactics[name] for name in tactics if objects.tactics.get(name)],
        # ATT&CK for ICS writes the text "None" for a technique that is bound to no platform.
        platforms=[name for name in item.x_mitre_platforms if name != "None"],
        parent=ids.get(objects.links.get(("subtechnique-of", item.id), "")),
        revoked=item.revoked,
        revoked_by=ids.get(objects.links.get(("revoked-by", item.id), "")),
        deprecated=item.x_mitre_deprecated,
        url=attack_reference(item.external_references).url,
        own_version=item.x_mitre_version,
    )
