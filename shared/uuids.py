"""Many UUIDs as one parameter of a statement, written and parsed several times as fast as texts."""

import struct
from collections.abc import Collection
from typing import Final

import psycopg

_UUID: Final = psycopg.adapters.types["uuid"]
_LENGTH: Final = "00000010"


class UuidArray:
    """A `uuid[]` parameter for connections of `shared.database`.

    Args:
        ids: UUIDs as texts with hyphens.
    """

    def __init__(self, ids: Collection[str]) -> None:
        # PostgreSQL's binary array: one dimension, no NULL, element type, count, lower bound 1;
        # then each element after its length.
        body = f"{_LENGTH}{_LENGTH.join(ids)}".replace("-", "") if ids else ""
        self.packed = struct.pack("!5i", 1, 0, _UUID.oid, len(ids), 1) + bytes.fromhex(body)


class _Dumper(psycopg.adapt.Dumper):
    format = psycopg.pq.Format.BINARY
    oid = _UUID.array_oid

    def dump(self, obj: UuidArray) -> bytes:
        return obj.packed


def register_dumper(connection: psycopg.Connection) -> None:
    """Let a connection accept `UuidArray` parameters."""
    connection.adapters.register_dumper(UuidArray, _Dumper)
