"""Mutated records: what strangers, broken producers and other versions may put into a topic."""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from shared.events import ConsumedHeaders, ConsumedRecord, Event, Topic
from shared.tenants import PUBLIC

GOLDEN: Final = Path(__file__).parents[1] / "shared" / "events" / "golden"

_ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    101,
    2**31,
    2**63,
    2**70,
    1e308,
    "",
    "\0",
    "a\0b",
    "\ufffe",
    "*",
    "x" * 3_000,
    "é" * 40_000,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
    [],
    {},
    [[]],
    {"": {"": ""}},
)
_RAW: Final = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe\x00",
    b"[" * 60_000,
    b'{"a":' * 60_000,
    b'"\\ud800"',
    b"\x1f\x8b\x08\x00",
    b'{"feed": {"id": "\xc3\x28"}}',
)
_HEADER_VALUES: Final = (
    None,
    b"",
    b"*",
    b"\0",
    b"acme\0",
    b"\xff\xff",
    b"x" * 2_000,
    b"x" * 60_000,
    b"public",
    b"no tenant!",
    b"2026-02-30",
)


class RecordMutator:
    """Makes records of one topic: a few good ones, and many that are wrong somewhere.

    Args:
        topic: the topic.
        seed: repeats the same records.
    """

    def __init__(self, topic: Topic[Any], seed: int) -> None:
        self._topic = topic
        self._random = random.Random(f"{topic.name}/{seed}")  # noqa: S311  # repeatable
        paths = sorted(GOLDEN.glob(f"{topic.name}.*.json"))
        self._payloads = [msgspec.json.decode(path.read_bytes()) for path in paths]
        self._mutations: tuple[Callable[[bytes], bytes], ...] = (
            self._flip,
            self._truncate,
            self._splice,
            self._replace,
        )

    def record(self, offset: int) -> ConsumedRecord:
        """A record at an offset."""
        chance = self._random.random()
        value = self._encoded()
        headers = self._headers(offset)
        if chance < 0.25:
            headers = self._mutate_headers(headers)
        elif chance < 0.5:
            value = self._random.choice(self._mutations)(value)
        elif chance < 0.9:
            value = self._mutate_json()
        key = self._random.choice((None, b"", b"17", b"\xff\0", b"k" * 5_000))
        return ConsumedRecord(self._topic.name, 0, offset, key, value, headers, offset)

    def _payload(self) -> Any:
        text = msgspec.json.encode(self._random.choice(self._payloads))
        payload = msgspec.json.decode(text)
        if "run_id" in payload:
            payload["run_id"] = str(UUID(int=self._random.getrandbits(128)))
        return payload

    def _encoded(self) -> bytes:
        return msgspec.json.encode(self._payload())

    def _headers(self, offset: int) -> ConsumedHeaders:
        source = f"/fuzz/{offset % 7}"
        # Techniques are everybody's.
        tenant = PUBLIC if self._topic.name.startswith("mitre.") else "acme"
        event: Event[Any] = Event(
            self._topic, None, tenant, source, id=f"fuzz-{offset}", traceparent=None
        )
        return list(event.headers())

    def _mutate_headers(self, headers: ConsumedHeaders) -> ConsumedHeaders:
        pairs: list[tuple[str, bytes | None]] = list(headers)
        for _ in range(self._random.randint(1, 3)):
            place = self._random.randrange(len(pairs))
            name, value = pairs[place]
            kind = self._random.randrange(4)
            if kind == 0:
                pairs[place] = (name, self._random.choice(_HEADER_VALUES))
            elif kind == 1:
                pairs.append((name, value))
            elif kind == 2:
                pairs[place] = (name, self._random.randbytes(self._random.randrange(40)))
            else:
                odd = self._random.choice(("traceparent", "", "x\0", "\ud800", "dead-reason"))
                pairs.append((odd, self._random.choice(_HEADER_VALUES)))
        return pairs

    def _mutate_json(self) -> bytes:
        payload = self._payload()
        for _ in range(self._random.randint(1, 3)):
            self._change(payload)
        return msgspec.json.encode(payload)

    def _change(self, node: Any) -> None:
        """Replace, remove or repeat something anywhere below a node."""
        while True:
            places = _places(node)
            if not places:
                return
            place = self._random.choice(places)
            child = node[place]
            if isinstance(child, dict | list) and child and self._random.random() < 0.75:
                node = child
                continue
            kind = self._random.randrange(8)
            if kind == 0:
                del node[place]
            elif kind == 1 and isinstance(node, list):
                node *= self._random.choice((2, 50))
            elif kind == 2 and isinstance(child, str):
                node[place] = child + self._random.choice(("\0", "é", " ", "x" * 5_000))
            else:
                node[place] = deepcopy(self._random.choice(_ODD_VALUES))
            return

    def _flip(self, value: bytes) -> bytes:
        changed = bytearray(value)
        for _ in range(self._random.randint(1, 8)):
            changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)

    def _truncate(self, value: bytes) -> bytes:
        return value[: self._random.randrange(len(value))]

    def _splice(self, value: bytes) -> bytes:
        place = self._random.randrange(len(value))
        return value[:place] + self._random.randbytes(20) + value[place:]

    def _replace(self, _value: bytes) -> bytes:
        return self._random.choice(_RAW)


def _places(node: Any) -> Sequence[Any]:
    if isinstance(node, dict):
        return list(node)
    return range(len(node)) if isinstance(node, list) else ()
