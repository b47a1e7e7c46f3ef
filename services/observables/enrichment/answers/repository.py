"""The SQL of providers' answers, and of the disclosure state of observables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.enrichment.answers.models import (
    CachedAnswer,
    DisclosureState,
    RawAnswer,
    StoredAnswer,
)
from services.observables.providers.base import Finding, RelatedObservable, Weight
from services.observables.store.repository.read import newest_answers
from shared.database import PUBLIC
from shared.stix.markings import marking_of_tag

_MATCHES: Final = (
    "unnest(CAST(:observables AS uuid[]), CAST(:enrichers AS text[])) key(observable_id, enricher)"
    " WHERE answer.tenant = :tenant AND answer.observable_id = key.observable_id"
    " AND answer.enricher = key.enricher"
)
_ARCHIVE: Final = sa.text(f"""
INSERT INTO enrichment_past (tenant, observable_id, enricher, found, facts, weights, obtained_at,
    expires_at, counts_until, recorded_at, recorded_until)
SELECT answer.tenant, answer.observable_id, answer.enricher, found, facts, weights, obtained_at,
    expires_at, counts_until, recorded_at, :now
FROM enrichment answer, {_MATCHES} ON CONFLICT DO NOTHING
""")  # noqa: S608  # constants only
_DELETE: Final = sa.text(f"DELETE FROM enrichment answer USING {_MATCHES}")  # noqa: S608
_INSERT: Final = sa.text("""
INSERT INTO enrichment (tenant, observable_id, enricher, found, facts, weights, related,
    obtained_at, expires_at, counts_until, raw, recorded_at)
SELECT :tenant, answer.*, :now FROM unnest(CAST(:observables AS uuid[]),
    CAST(:enrichers AS text[]), CAST(:found AS boolean[]), CAST(:facts AS jsonb[]),
    CAST(:weights AS jsonb[]), CAST(:related AS jsonb[]), CAST(:obtained AS timestamptz[]),
    CAST(:expires AS timestamptz[]), CAST(:counts AS timestamptz[]), CAST(:raws AS bytea[])) answer
""")
# The tenant's own row of an observable comes before the public one; markings come from both.
_DISCLOSURE_STATES: Final = sa.text(r"""
SELECT DISTINCT ON (observable.id) observable.id::text, observable.context::text,
    observable.depth, observable.tlp, (
        SELECT array_agg(DISTINCT source.tlp) FROM assertion
        JOIN source ON source.tenant = assertion.tenant AND source.id = assertion.source_id
        WHERE assertion.tenant IN (:tenant, :public)
        AND assertion.observable_id = observable.id) AS tlps, (
        SELECT array_agg(DISTINCT tag) FROM assertion, unnest(assertion.tags) tag
        WHERE assertion.tenant IN (:tenant, :public) AND assertion.observable_id = observable.id
        AND tag ~* '^\s*["'']?(tlp|pap|marking)[^a-z]') AS marking_tags
FROM observable WHERE observable.tenant IN (:tenant, :public)
AND observable.id = ANY(CAST(:ids AS uuid[]))
ORDER BY observable.id, observable.tenant = :public
""")
# Of the tenant's own answer and a shared one the newer counts.
_CACHED: Final = sa.text(
    newest_answers(
        "enricher, tenant, found AS is_found, facts::text, weights::text, related::text, "
        "obtained_at",
        "enrichment WHERE tenant IN (:tenant, :public) "
        "AND observable_id = ANY(CAST(:ids AS uuid[])) AND expires_at > :now",
    )
)
_RAW: Final = sa.text("""
SELECT raw, obtained_at FROM enrichment
WHERE tenant IN (:tenant, :public) AND observable_id = CAST(:id AS uuid)
AND enricher = :enricher AND raw IS NOT NULL ORDER BY obtained_at DESC LIMIT 1
""")
_encode: Final = msgspec.json.Encoder().encode
_decode_weights: Final = msgspec.json.Decoder(tuple[tuple[float, str], ...]).decode
_decode_related: Final = msgspec.json.Decoder(tuple[tuple[str, str, str, bool], ...]).decode


def put(session: Session, tenant: str, answers: Sequence[StoredAnswer], now: datetime) -> None:
    """Store answers in place of the ones before, which become history.

    There is at most one answer for each observable and enricher.
    """
    unknown = Finding({})
    findings = [answer.finding or unknown for answer in answers]
    values: dict[str, Any] = {
        "tenant": tenant,
        "now": now,
        "observables": [answer.observable_id for answer in answers],
        "enrichers": [answer.enricher for answer in answers],
        "found": [answer.finding is not None for answer in answers],
        "facts": [_encode(finding.facts).decode() for finding in findings],
        "weights": [_encode(finding.weights).decode() for finding in findings],
        "related": [_encode(finding.related).decode() for finding in findings],
        "obtained": [answer.obtained_at for answer in answers],
        "expires": [answer.expires_at for answer in answers],
        "counts": [answer.counts_until for answer in answers],
        "raws": [answer.raw for answer in answers],
    }
    session.execute(_ARCHIVE, values)
    session.execute(_DELETE, values)
    session.execute(_INSERT, values)


def disclosure_states(
    session: Session, tenant: str, ids: Sequence[str]
) -> dict[str, DisclosureState]:
    """The disclosure state of observables that the tenant sees, by id."""
    states = {}
    parameters = {"tenant": tenant, "public": PUBLIC, "ids": list(ids)}
    for row in session.execute(_DISCLOSURE_STATES, parameters):
        of_tags = map(marking_of_tag, row.marking_tags or ())
        markings = (*(row.tlps or ()), row.tlp, *of_tags)
        tlps = tuple(tlp for tlp in markings if tlp is not None)
        states[row.id] = DisclosureState(tlps, row.context, 0 if row.tlps else row.depth)
    return states


def cached(
    session: Session, tenant: str, ids: Sequence[str], now: datetime
) -> dict[tuple[str, str], CachedAnswer]:
    """Answers that are still good, by observable and enricher."""
    answers = {}
    parameters = {"tenant": tenant, "public": PUBLIC, "ids": list(ids), "now": now}
    for row in session.execute(_CACHED, parameters):
        finding = _finding(row) if row.is_found else None
        answer = CachedAnswer(row.tenant, finding, row.obtained_at)
        answers[row.observable_id, row.enricher] = answer
    return answers


def _finding(row: sa.Row[Any]) -> Finding:
    weights = tuple(Weight(*weight) for weight in _decode_weights(row.weights))
    related = tuple(
        RelatedObservable(*observable)  # type: ignore[arg-type]  # stored by `put`
        for observable in _decode_related(row.related)
    )
    return Finding(msgspec.json.decode(row.facts), weights, related)


def raw(session: Session, tenant: str, observable: str, enricher: str) -> RawAnswer | None:
    """The newest raw answer; None when none is stored (any more)."""
    parameters = {"tenant": tenant, "public": PUBLIC, "id": observable, "enricher": enricher}
    row = session.execute(_RAW, parameters).one_or_none()
    return RawAnswer(bytes(row.raw), row.obtained_at) if row else None
