"""The index that this process maps with."""

from typing import Final

from services.observables.attack.index import Attack, Ids, pack
from services.observables.reference.reloading_cache import ReloadingCache

NAME: Final = "attack"
"""What the index is kept under among the reference data."""

INDEX: Final = ReloadingCache([NAME], lambda blobs: Attack(blobs.get(NAME) or pack([])))

reload_if_stale = INDEX.reload_if_stale


def stands_for(malware: str | None, tags: Ids) -> Ids:
    """ATT&CK ids that a malware family and tags stand for."""
    return INDEX.value.stands_for(malware, tags)
