"""The changes from one version of ATT&CK to another. No I/O."""

from collections.abc import Mapping

import msgspec

from services.mitre.releases.cards import Technique

Techniques = Mapping[str, Technique]
"""Techniques by ATT&CK id."""


class ReleaseDiff(msgspec.Struct, omit_defaults=True):
    """Techniques by ATT&CK id, each list sorted.

    Attributes:
        added: not in the previous version.
        changed: in both with another content; without those newly revoked or deprecated.
        renamed: of the changed, old and new name.
        revoked, deprecated: newly so.
        removed: not in the new version.
        moved: of the removed, those whose object goes on under another ATT&CK id, and that id.
    """

    added: list[str] = []
    changed: list[str] = []
    renamed: dict[str, tuple[str, str]] = {}
    revoked: list[str] = []
    deprecated: list[str] = []
    removed: list[str] = []
    moved: dict[str, str] = {}

    @property
    def touched(self) -> list[str]:
        """Ids whose current card is another one now, the removed excepted."""
        return sorted({*self.added, *self.changed, *self.revoked, *self.deprecated})


def compare(previous: Techniques, new: Techniques) -> ReleaseDiff:
    """Compare one version with the next.

    Args:
        previous: empty when there was no version before.
        new: the techniques of the version that follows.
    """
    different = [key for key in sorted(new) if key in previous and new[key] != previous[key]]
    revoked = [key for key in different if new[key].revoked and not previous[key].revoked]
    deprecated = _newly_deprecated(previous, new, different, revoked)
    ended = {*revoked, *deprecated}
    changed = [key for key in different if key not in ended]
    removed = sorted(set(previous) - set(new))
    return ReleaseDiff(
        added=sorted(set(new) - set(previous)),
        changed=changed,
        renamed=_renamed(previous, new, changed),
        revoked=revoked,
        deprecated=deprecated,
        removed=removed,
        moved=_moved(previous, new, removed),
    )


def _newly_deprecated(
    previous: Techniques, new: Techniques, different: list[str], revoked: list[str]
) -> list[str]:
    newly = [key for key in different if new[key].deprecated and not previous[key].deprecated]
    return [key for key in newly if key not in revoked]


def _renamed(
    previous: Techniques, new: Techniques, changed: list[str]
) -> dict[str, tuple[str, str]]:
    names = {key: (previous[key].name, new[key].name) for key in changed}
    return {key: (old_name, name) for key, (old_name, name) in names.items() if old_name != name}


def _moved(previous: Techniques, new: Techniques, removed: list[str]) -> dict[str, str]:
    present = {technique.stix_id: technique.attack_id for technique in new.values()}
    moved = {key: present.get(previous[key].stix_id) for key in removed}
    return {key: attack_id for key, attack_id in moved.items() if attack_id is not None}


def mark_removed(removed: Technique, moved_to: str | None) -> Technique:
    """The last card of a technique that a version no longer has, which ends mappings to it."""
    if moved_to is not None:
        return msgspec.structs.replace(removed, revoked=True, revoked_by=moved_to)
    return msgspec.structs.replace(removed, deprecated=True)
