"""A technique as a release has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReleasedTechnique:
    """A technique in one release of a domain.

    Attributes:
        version: of the release.
        current: whether the current release has the same content.
        own_version: the technique's own version.
    """

    attack_id: str
    stix_id: str
    name: str
    description: str
    domain: str
    version: str
    current: bool
    tactics: list[str]
    tactic_ids: list[str]
    platforms: list[str]
    parent: str | None
    revoked: bool
    revoked_by: str | None
    deprecated: bool
    url: str | None
    own_version: str | None


@dataclass(frozen=True, slots=True)
class TechniqueFilters:
    """Which techniques a search gives; None does not filter.

    Attributes:
        text: words to find, quoted phrases, `or`, `-without`.
        tactic: short name or TA id, in any case.
        platform: in any case.
        parent: ATT&CK id of the technique whose sub-techniques are meant.
        with_inactive: whether revoked and deprecated ones are given, too.
    """

    text: str | None = None
    tactic: str | None = None
    platform: str | None = None
    domain: str | None = None
    parent: str | None = None
    with_inactive: bool = False
