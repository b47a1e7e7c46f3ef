"""Each observable once while a document is still being read, in a few megabytes whatever its length."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from services.feeds.snapshots.document_reader import Rows
from services.feeds.snapshots.snapshot import Digests

_SLOTS: Final = 1 << 26


def distinct(rows: Iterable[Rows]) -> Iterator[tuple[Digests, list[bytes]]]:
    """Digests and texts of observables, each of them once.

    A table of bits tells what was certainly not named before. What may have been is put aside, and looked at in full
    when everything has been read.
    """
    bits = np.zeros(_SLOTS // 8, np.uint8)
    sent: list[Digests] = []
    aside_ids: list[Digests] = []
    aside_texts: list[bytes] = []
    for some in rows:
        _, first = np.unique(some.ids, return_index=True)
        first.sort()
        ids = some.ids[first]
        slot = ids & np.uint64(_SLOTS - 1)
        place, bit = (
            slot >> np.uint64(3),
            np.left_shift(np.uint8(1), (slot & np.uint64(7)).astype(np.uint8)),
        )
        new = bits[place] & bit == 0
        np.bitwise_or.at(bits, place[new], bit[new])
        texts = list(some.texts)
        sent.append(ids[new])
        if len(sent[-1]):
            yield sent[-1], [texts[at] for at in first[new].tolist()]
        aside_ids.append(ids[~new])
        aside_texts += [texts[at] for at in first[~new].tolist()]
    if aside_texts:
        late = np.concatenate(aside_ids)
        _, first = np.unique(late, return_index=True)
        first.sort()
        ids = late[first]
        missing = ~np.isin(ids, np.concatenate(sent))
        yield ids[missing], [aside_texts[at] for at in first[missing].tolist()]
