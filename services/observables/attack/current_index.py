"""The index of ATT&CK that this process maps with."""

from typing import Final

from services.observables.attack.index import AttackIds, AttackIndex, pack
from services.observables.reference import datasets
from services.observables.reference.reloading_cache import ReloadingCache

DATASET: Final = datasets.ATTACK
"""The name that the index is stored under, among the datasets."""

INDEX: Final = ReloadingCache([DATASET], lambda blobs: AttackIndex(blobs.get(DATASET) or pack([])))

reload_if_stale = INDEX.reload_if_stale


def attack_ids(malware: str | None, tags: AttackIds) -> AttackIds:
    """The ATT&CK ids that a malware family and tags stand for."""
    return INDEX.value.attack_ids(malware, tags)
