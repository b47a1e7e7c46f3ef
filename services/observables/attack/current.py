"""The index that this process maps with."""

import time
from typing import Final

from sqlalchemy.orm import Session

from services.observables.attack.index import Attack, Ids, pack
from services.observables.reference import store

NAME: Final = "attack"
"""What the index is kept under among the reference data."""

LOOK_EVERY: Final = 60.0
"""Seconds after which a process looks for a newer index: so long two processes may map differently."""


class _Current:
    def __init__(self) -> None:
        self.index = Attack(pack([]))
        self.digest: str | None = None
        self.look_again = 0.0


_current = _Current()


def freshen(session: Session, *, now: bool = False) -> None:
    """Take a newer index, if there is one; looked for once a minute, or `now`."""
    if not now and time.monotonic() < _current.look_again:
        return
    digest = store.digests(session).get(NAME)
    if digest != _current.digest:
        _current.index, _current.digest = Attack(store.packed(session, NAME) if digest else pack([])), digest
    _current.look_again = time.monotonic() + LOOK_EVERY


def stands_for(malware: str | None, tags: Ids) -> Ids:
    """ATT&CK ids that a malware family and tags stand for."""
    return _current.index.stands_for(malware, tags)
