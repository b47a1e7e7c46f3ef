"""Events of the mitre service."""

from typing import Literal

import msgspec

from shared.events.envelope import Topic


class Released(msgspec.Struct, omit_defaults=True):
    """A version of an ATT&CK domain arrived.

    Attributes:
        domain: enterprise-attack, mobile-attack or ics-attack.
        version: the collection's version, for instance 18.1.
        previous: the version that was current before, if there was one.
        counts: objects by STIX type.
        added, changed, revoked, deprecated: ATT&CK ids of techniques, compared with `previous`.
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
        kind: malware, tool (software with legitimate uses), or group.
        aliases: its other names.
    """

    attack_id: str
    name: str
    kind: UserKind
    aliases: list[str] = msgspec.field(default_factory=list)


class TechniqueCard(msgspec.Struct, omit_defaults=True):
    """One technique, with all that a mapping to it needs.

    Attributes:
        attack_id: for instance T1059.004.
        stix_id: attack-pattern--….
        tactics: short names of its kill-chain phases.
        platforms: where it applies.
        parent: of a sub-technique, the ATT&CK id of its technique.
        revoked_by: the ATT&CK id that replaces it.
        url: its page.
        software: active malware and tools that use it, according to ATT&CK.
        groups: active groups that use it, according to ATT&CK.
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
