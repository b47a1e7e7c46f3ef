"""The index that this process maps with."""

from typing import Final

from services.observables.attack.index import Attack, Ids, pack
from services.observables.reference.reloading_cache import Held

NAME: Final = "attack"
"""What the index is kept under among the reference data."""

HELD: Final = Held([NAME], lambda blobs: Attack(blobs.get(NAME) or pack([])))

freshen = HELD.freshen


def stands_for(malware: str | None, tags: Ids) -> Ids:
    """ATT&CK ids that a malware family and tags stand for."""
    return HELD.value.stands_for(malware, tags)
