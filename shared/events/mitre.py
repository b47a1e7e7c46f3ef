"""What the mitre service says."""

from typing import Literal

import msgspec

from shared.events.envelope import Topic


class Released(msgspec.Struct, omit_defaults=True):
    """A version of an ATT&CK domain arrived.

    Attributes:
        domain: enterprise-attack, mobile-attack or ics-attack.
        version: as its collection names it, for instance 18.1.
        previous: the version it follows here, when there was one.
        counts: objects by STIX type.
        added, changed, revoked, deprecated: ATT&CK ids of techniques, against the previous version.
    """

    domain: str
    version: str
    previous: str | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    added: list[str] = msgspec.field(default_factory=list)
    changed: list[str] = msgspec.field(default_factory=list)
    revoked: list[str] = msgspec.field(default_factory=list)
    deprecated: list[str] = msgspec.field(default_factory=list)


UserKind = Literal["malware", "tool", "group"]


class TechniqueUser(msgspec.Struct, omit_defaults=True, frozen=True):
    """A piece of software or a group that uses a technique.

    Attributes:
        attack_id: for instance S0154 or G0007.
        kind: malware, tool (that also serves honest ends), or group.
        aliases: its other names.
    """

    attack_id: str
    name: str
    kind: UserKind
    aliases: list[str] = msgspec.field(default_factory=list)


class TechniqueCard(msgspec.Struct, omit_defaults=True):
    """One technique as others need it to map to it.

    Attributes:
        attack_id: for instance T1059.004.
        stix_id: attack-pattern--….
        tactics: short names of its kill-chain phases.
        platforms: where it applies.
        parent: attack id of the technique a sub-technique belongs to.
        revoked_by: attack id that takes its place.
        url: its page.
        software: what ATT&CK says uses it; active malware and tools.
        groups: who ATT&CK says uses it; active groups.
    """

    attack_id: str
    stix_id: str
    name: str
    domain: str
    version: str
    tactics: list[str] = msgspec.field(default_factory=list)
    platforms: list[str] = msgspec.field(default_factory=list)
    parent: str | None = None
    revoked: bool = False
    revoked_by: str | None = None
    deprecated: bool = False
    url: str | None = None
    software: list[TechniqueUser] = msgspec.field(default_factory=list)
    groups: list[TechniqueUser] = msgspec.field(default_factory=list)


RELEASED = Topic(
    "mitre.released.v1", Released, "A version of ATT&CK arrived, with what it changes.", "domain"
)
TECHNIQUES = Topic(
    "mitre.techniques.v1", TechniqueCard, "A technique's current card.", "technique", compacted=True
)
