"""What providers answered, and what is known of an observable before it is asked about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.providers.base import Finding, RelatedObservable, Weight
from shared.database import PUBLIC


class Stored(NamedTuple):
    """An answer as it is kept.

    Attributes:
        finding: None when the provider knows nothing about the value.
        counts_until: how long its weights are part of the score.
        raw: what the provider sent, compressed with zstd.
    """

    observable_id: str
    enricher: str
    finding: Finding | None
    obtained_at: datetime
    expires_at: datetime
    counts_until: datetime
    raw: bytes | None


class Cached(NamedTuple):
    """An answer that is still good enough not to ask again."""

    tenant: str
    finding: Finding | None
    obtained_at: datetime


class Standing(NamedTuple):
    """What decides whether an observable may be asked about.

    Attributes:
        tlps: markings of the sources that assert it, and its own.
        context: what offline enrichers found, as JSON.
        depth: how many answers it is away from what a source or a person said.
    """

    tlps: tuple[str, ...]
    context: str
    depth: int


_KEYS: Final = (
    "unnest(CAST(:observables AS uuid[]), CAST(:enrichers AS text[])) k(observable_id, enricher) "
    "WHERE e.tenant = :tenant AND e.observable_id = k.observable_id AND e.enricher = k.enricher"
)
_KEEP: Final = sa.text(
    "INSERT INTO enrichment_past (tenant, observable_id, enricher, found, facts, weights, obtained_at, expires_at, "  # noqa: S608
    "counts_until, recorded_at, recorded_until) SELECT e.tenant, e.observable_id, e.enricher, found, facts, weights, "
    f"obtained_at, expires_at, counts_until, recorded_at, :now FROM enrichment e, {_KEYS} ON CONFLICT DO NOTHING"
)
_REPLACE: Final = sa.text(f"DELETE FROM enrichment e USING {_KEYS}")  # noqa: S608
_PUT: Final = sa.text(
    "INSERT INTO enrichment (tenant, observable_id, enricher, found, facts, weights, related, obtained_at, expires_at, "
    "counts_until, raw, recorded_at) SELECT :tenant, a.*, :now FROM unnest(CAST(:observables AS uuid[]), "
    "CAST(:enrichers AS text[]), CAST(:found AS boolean[]), CAST(:facts AS jsonb[]), CAST(:weights AS jsonb[]), "
    "CAST(:related AS jsonb[]), CAST(:obtained AS timestamptz[]), CAST(:expires AS timestamptz[]), "
    "CAST(:counts AS timestamptz[]), CAST(:raws AS bytea[])) a"
)
_STANDING: Final = sa.text(
    "SELECT DISTINCT ON (o.id) o.id::text, o.context::text, o.depth, o.tlp, ("  # noqa: S608
    "SELECT array_agg(DISTINCT s.tlp) FROM assertion a JOIN source s ON s.tenant = a.tenant AND s.id = a.source_id "
    f"WHERE a.tenant IN (:tenant, '{PUBLIC}') AND a.observable_id = o.id) AS tlps "
    f"FROM observable o WHERE o.tenant IN (:tenant, '{PUBLIC}') AND o.id = ANY(CAST(:ids AS uuid[])) "
    f"ORDER BY o.id, o.tenant = '{PUBLIC}'"
)
_CACHED: Final = sa.text(
    "SELECT DISTINCT ON (observable_id, enricher) observable_id::text, enricher, tenant, found, facts::text, "  # noqa: S608
    f"weights::text, related::text, obtained_at FROM enrichment WHERE tenant IN (:tenant, '{PUBLIC}') "
    "AND observable_id = ANY(CAST(:ids AS uuid[])) AND expires_at > :now "
    "ORDER BY observable_id, enricher, obtained_at DESC"
)
_RAW: Final = sa.text(
    "SELECT raw, obtained_at FROM enrichment WHERE tenant IN (:tenant, :public) AND observable_id = CAST(:id AS uuid) "
    "AND enricher = :enricher AND raw IS NOT NULL ORDER BY obtained_at DESC LIMIT 1"
)
_PRUNE_RAW: Final = sa.text(
    "UPDATE enrichment SET raw = NULL WHERE raw IS NOT NULL AND obtained_at < now() - make_interval(days => :days) "
    "RETURNING 1"
)
_encode: Final = msgspec.json.Encoder().encode
_weights: Final = msgspec.json.Decoder(tuple[tuple[float, str], ...]).decode
_related: Final = msgspec.json.Decoder(tuple[tuple[str, str, str, bool], ...]).decode


def put(session: Session, tenant: str, answers: Sequence[Stored], now: datetime) -> None:
    """Keep answers in place of those before them, which become history; at most one of an enricher to an observable."""
    nothing = Finding({})
    findings = [one.finding or nothing for one in answers]
    values: dict[str, Any] = {
        "tenant": tenant,
        "now": now,
        "observables": [one.observable_id for one in answers],
        "enrichers": [one.enricher for one in answers],
        "found": [one.finding is not None for one in answers],
        "facts": [_encode(one.facts).decode() for one in findings],
        "weights": [_encode(one.weights).decode() for one in findings],
        "related": [_encode(one.related).decode() for one in findings],
        "obtained": [one.obtained_at for one in answers],
        "expires": [one.expires_at for one in answers],
        "counts": [one.counts_until for one in answers],
        "raws": [one.raw for one in answers],
    }
    session.execute(_KEEP, values)
    session.execute(_REPLACE, values)
    session.execute(_PUT, values)


def standing(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, Standing]:
    """What decides whether observables may be asked about, by id; the tenant's own row before the public one."""
    found = {}
    for row in session.execute(_STANDING, {"tenant": tenant, "ids": list(ids)}):
        tlps = tuple(tlp for tlp in (*(row.tlps or ()), row.tlp) if tlp is not None)
        found[row.id] = Standing(tlps, row.context, 0 if row.tlps else row.depth)
    return found


def cached(
    session: Session, tenant: str, ids: Sequence[str], now: datetime
) -> dict[tuple[str, str], Cached]:
    """Answers that are still good, by observable and enricher; of the tenant's own and a shared one the newer."""
    found = {}
    for row in session.execute(_CACHED, {"tenant": tenant, "ids": list(ids), "now": now}):
        finding = _finding(row) if row.found else None
        found[row.observable_id, row.enricher] = Cached(row.tenant, finding, row.obtained_at)
    return found


def _finding(row: sa.Row[Any]) -> Finding:
    weights = tuple(Weight(*one) for one in _weights(row.weights))
    related = tuple(RelatedObservable(*one) for one in _related(row.related))  # type: ignore[arg-type]  # as it was stored
    return Finding(msgspec.json.decode(row.facts), weights, related)


def raw(
    session: Session, tenant: str, observable: str, enricher: str
) -> tuple[bytes, datetime] | None:
    """What a provider sent, still compressed, and when; None when it is not kept (any more)."""
    asked = {"tenant": tenant, "public": PUBLIC, "id": observable, "enricher": enricher}
    row = session.execute(_RAW, asked).one_or_none()
    return (bytes(row[0]), row[1]) if row else None


def prune_raw(session: Session, days: int) -> int:
    """Forget what providers sent more than some days ago; what was read out of it stays."""
    return len(session.execute(_PRUNE_RAW, {"days": days}).all())
