"""What one version of ATT&CK changes against another. No I/O."""

from collections.abc import Mapping

import msgspec

from services.mitre.techniques.cards import Technique


class Diff(msgspec.Struct, omit_defaults=True):
    """Techniques by ATT&CK id, each list sorted.

    Attributes:
        added: were not there.
        changed: were there and say something else now; without those newly revoked or deprecated.
        renamed: of the changed, old and new name.
        revoked, deprecated: are so now and were not.
        removed: are no longer there at all.
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


def compare(previous: Mapping[str, Technique], new: Mapping[str, Technique]) -> Diff:
    """The way from one version to the next.

    Args:
        previous: techniques by ATT&CK id; empty when there was no version before.
        new: the same for the version that follows.
    """
    both = [key for key in sorted(new) if key in previous and new[key] != previous[key]]
    revoked = [key for key in both if new[key].revoked and not previous[key].revoked]
    deprecated = [
        key
        for key in both
        if new[key].deprecated and not previous[key].deprecated and key not in revoked
    ]
    ended = {*revoked, *deprecated}
    changed = [key for key in both if key not in ended]
    removed = sorted(set(previous) - set(new))
    now = {item.stix_id: item.attack_id for item in new.values()}
    return Diff(
        added=sorted(set(new) - set(previous)),
        changed=changed,
        renamed={
            k: (previous[k].name, new[k].name) for k in changed if previous[k].name != new[k].name
        },
        revoked=revoked,
        deprecated=deprecated,
        removed=removed,
        moved={key: now[previous[key].stix_id] for key in removed if previous[key].stix_id in now},
    )


def farewell(removed: Technique, moved_to: str | None) -> Technique:
    """The last card of a technique that a version no longer has, so that nobody goes on mapping to it."""
    if moved_to is not None:
        return msgspec.structs.replace(removed, revoked=True, revoked_by=moved_to)
    return msgspec.structs.replace(removed, deprecated=True)
