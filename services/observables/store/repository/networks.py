"""Where networks are stored: the lengths of their prefixes, and the observables inside them."""

from collections.abc import Sequence
from typing import Final

import psycopg

from services.observables.store.search_keys import Range
from shared.database import PUBLIC

_PREFIXES: Final = (
    "SELECT DISTINCT y.type, l.prefix "  # noqa: S608
    f"FROM (VALUES (%(tenant)s), ('{PUBLIC}')) t(tenant), "
    "(VALUES ('ipv4-addr'), ('ipv6-addr')) y(type), LATERAL (WITH RECURSIVE walk AS ("
    "(SELECT prefix FROM observable o WHERE o.tenant = t.tenant AND o.type = y.type "
    "AND prefix IS NOT NULL ORDER BY prefix LIMIT 1) UNION ALL SELECT (SELECT o.prefix "
    "FROM observable o WHERE o.tenant = t.tenant AND o.type = y.type AND o.prefix > walk.prefix "
    "ORDER BY o.prefix LIMIT 1) FROM walk WHERE walk.prefix IS NOT NULL"
    ") SELECT prefix FROM walk WHERE prefix IS NOT NULL) l"
)
CANDIDATES: Final = 10_000
"""Rows of one range that are ordered by score: those with the first search keys. A network with
more is not read as a whole for each lookup."""

_PUBLIC_LITERAL: Final = f"'{PUBLIC}'"
_WITHIN: Final = (
    "SELECT id, tenant, score, value FROM observable WHERE tenant = {tenant} "
    'AND key >= r.low COLLATE "C" AND key < r.high COLLATE "C" ORDER BY key LIMIT %(candidates)s'
)
# The score of the tenant's own row counts the public assertions as well.
_INSIDE: Final = (
    "SELECT r.n, i.id::text "  # noqa: S608
    "FROM unnest(%(lows)s::text[], %(highs)s::text[]) WITH ORDINALITY r(low, high, n), "
    "LATERAL (SELECT id, score, value FROM (SELECT DISTINCT ON (id) id, score, value "
    f"FROM (({_WITHIN.format(tenant='%(tenant)s')}) UNION ALL "
    f"({_WITHIN.format(tenant=_PUBLIC_LITERAL)})) stored "
    "ORDER BY id, tenant = %(tenant)s DESC) each_once "
    "ORDER BY score DESC, value LIMIT %(most)s) i ORDER BY r.n, i.score DESC, i.value"
)


def send_prefixes(connection: psycopg.Connection, tenant: str) -> psycopg.Cursor:
    """Send the statement for the prefix lengths of stored networks: a handful, a step each."""
    return connection.execute(_PREFIXES, {"tenant": tenant})


def fetch_prefixes(pending: psycopg.Cursor) -> dict[str, list[int]]:
    """The prefix lengths of stored networks, by type of address."""
    prefixes: dict[str, list[int]] = {}
    for type_, prefix in pending.fetchall():
        prefixes.setdefault(type_, []).append(prefix)
    return prefixes


def send_inside(
    connection: psycopg.Connection, tenant: str, ranges: Sequence[Range], most: int
) -> psycopg.Cursor:
    """Send the statement for observables within ranges of search keys, at most `most` of each.

    Those with the highest published scores come first; among equals the order is that of values.
    """
    arguments = {
        "lows": [range_.low for range_ in ranges],
        "highs": [range_.high for range_ in ranges],
        "most": most,
        "candidates": CANDIDATES,
        "tenant": tenant,
    }
    return connection.execute(_INSIDE, arguments)


def fetch_inside(pending: psycopg.Cursor, ranges: int) -> list[list[str]]:
    """The ids within each range, in their order."""
    ids: list[list[str]] = [[] for _ in range(ranges)]
    for place, identity in pending.fetchall():
        ids[place - 1].append(identity)
    return ids
