"""Each observable once while a document is being read, in a few megabytes whatever its length."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from services.feeds.snapshots.document_reader import Rows
from services.feeds.snapshots.snapshot import Digests

_SLOTS: Final = 1 << 26


def distinct(blocks: Iterable[Rows]) -> Iterator[tuple[Digests, list[bytes]]]:
    """Digests and texts of observables, each of them once.

    A table of bits tells which observables were certainly not named before. The others are put
    aside, and compared in full when everything has been read.
    """
    bits = np.zeros(_SLOTS // 8, np.uint8)
    sent: list[Digests] = []
    aside_ids: list[Digests] = []
    aside_texts: list[bytes] = []
    for rows in blocks:
        _, first = np.unique(rows.ids, return_index=True)
        first.sort()
        ids = rows.ids[first]
        slot = ids & np.uint64(_SLOTS - 1)
        place = slot >> np.uint64(3)
        bit = np.left_shift(np.uint8(1), (slot & np.uint64(7)).astype(np.uint8))
        is_new = bits[place] & bit == 0
        np.bitwise_or.at(bits, place[is_new], bit[is_new])
        texts = list(rows.texts)
        sent.append(ids[is_new])
        if len(sent[-1]):
            yield sent[-1], [texts[at] for at in first[is_new].tolist()]
        aside_ids.append(ids[~is_new])
        aside_texts += [texts[at] for at in first[~is_new].tolist()]
    if aside_texts:
        late = np.concatenate(aside_ids)
        _, first = np.unique(late, return_index=True)
        first.sort()
        ids = late[first]
        missing = ~np.isin(ids, np.concatenate(sent))
        yield ids[missing], [aside_texts[at] for at in first[missing].tolist()]
