"""Observables as readers see them: the tenant's own rows and the public ones together. No I/O.

The structs are what answers encode, and what the OpenAPI document describes.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from services.observables.attack.index import Statements, statements
from services.observables.reference import context
from services.observables.scoring import score as scoring
from services.observables.scoring.assessment import (
    Assessment,
    AssessmentParts,
    assess,
    assessed_score,
)
from services.observables.scoring.claims import Claim, Contribution, Verdict
from services.observables.scoring.first_model import first_contributions
from services.observables.scoring.inputs import (
    Effects,
    SightingRow,
    StoredAssertion,
    reported_claims,
)
from services.observables.store.references import ObservableReference, ObservableTypeName
from services.observables.store.repository.read import (
    FIRST_MODEL,
    AnswerRow,
    ObservableRow,
    StoredRows,
)
from shared.stix.exchange import has_standard_key, standard_id
from shared.stix.ids import stix_type
from shared.stix.markings import marking_of

SCHEMAS: Final = "#/components/schemas/{name}"


def _json(description: str, **schema: object) -> Meta:
    """The schema of a field that is JSON already when it is encoded."""
    return Meta(description=description, extra_json_schema=schema)


Facts = Annotated[msgspec.Raw, _json("facts by name", type="object")]
ZonedTime = Annotated[datetime, Meta(tz=True)]
"""A time that the OpenAPI document describes as RFC 3339: with its offset from UTC."""


DataDates = Annotated[
    msgspec.Raw,
    _json(
        "the date of the data that each part of `context`, and `attack`, stand on, at least; those "
        "of the past are not recorded",
        type="object",
        additionalProperties={"type": "string", "format": "date-time"},
    ),
]
"""The dates of reference data, which are JSON already."""


STATED: Final = "of `attack`, what sources name: software, groups, and techniques by their ids"
INHERITED: Final = (
    "of `attack`, the techniques that this software and these groups use according to ATT&CK: "
    "context, and no observation"
)


class AssertionView(msgspec.Struct):
    """The assertion of one source about an observable."""

    source: str
    source_id: str
    tenant: str
    tlp: Annotated[
        str,
        Meta(
            description="the stricter marking of the assertion and its source; `closed`: an "
            "unknown one, or PAP:RED"
        ),
    ]
    reliability: Annotated[int, Meta(description="0 to 100: how far the source is trusted")]
    confidence: Annotated[int, Meta(description="0 to 100: how sure the source is")]
    tags: Sequence[str]
    attack: Annotated[
        Sequence[str], Meta(description="ATT&CK ids that its malware and tags stand for")
    ]
    attack_stated: Annotated[Sequence[str], Meta(description=STATED)]
    attack_inherited: Annotated[Sequence[str], Meta(description=INHERITED)]
    malware: str | None
    first_seen: ZonedTime
    last_seen: ZonedTime
    valid_until: ZonedTime | None
    retracted_at: ZonedTime | None


class SightingView(msgspec.Struct):
    """A report that an observable was seen, or that it is harmless."""

    id: str
    kind: Annotated[
        str, Meta(extra_json_schema={"enum": ["seen", "confirmed-malicious", "false-positive"]})
    ]
    count: int
    place: str
    note: str
    first_seen: ZonedTime
    last_seen: ZonedTime
    actor: str


class AnswerView(msgspec.Struct):
    """The answer of a remote enricher about an observable."""

    enricher: str
    tenant: Annotated[
        str, Meta(description="the owner of the answer; those of `public` serve all tenants")
    ]
    is_found: Annotated[
        bool, Meta(description="false when the provider knows nothing about it")
    ] = msgspec.field(name="found")
    facts: Facts
    obtained_at: ZonedTime
    expires_at: Annotated[
        ZonedTime, Meta(description="until then the provider is not queried again")
    ]


class ObservableView(msgspec.Struct):
    """All that is stored about a value: the tenant's own rows and the public ones together."""

    id: Annotated[str, Meta(description="deterministic STIX 2.1 id")]
    type: ObservableTypeName
    value: str
    score: Annotated[int, Meta(description="0 to 100 at this moment; `explain` lists its parts")]
    verdict: Verdict
    assessment: Annotated[
        msgspec.Raw,
        _json(
            "whether it was ever bad, is bad now, and was seen here; null for times at which the "
            "first model of scores held",
            anyOf=[{"$ref": SCHEMAS.format(name="Assessment")}, {"type": "null"}],
        ),
    ]
    tags: Sequence[str]
    attack: Annotated[Sequence[str], Meta(description="ATT&CK ids that malware and tags stand for")]
    attack_stated: Annotated[Sequence[str], Meta(description=STATED)]
    attack_inherited: Annotated[Sequence[str], Meta(description=INHERITED)]
    first_seen: ZonedTime
    last_seen: ZonedTime
    context: Annotated[
        msgspec.Raw, _json("the facts of offline enrichers, by enricher", type="object")
    ]
    # Encoded once: many observables share their assertions.
    assertions: Annotated[
        msgspec.Raw,
        _json(
            "the assertions of sources",
            type="array",
            items={"$ref": SCHEMAS.format(name="AssertionView")},
        ),
    ]
    sightings: list[SightingView]
    enrichments: Annotated[
        list[AnswerView], Meta(description="the newest answer of each remote enricher")
    ]
    depth: Annotated[
        int,
        Meta(
            description="how many answers of enrichers it is away from what a source or a person "
            "reported"
        ),
    ]
    standard_id: Annotated[
        str,
        Meta(
            description="the id that STIX 2.1 §2.9 describes, as other producers compute it; it "
            "differs from `id` for mutexes, certificates, import hashes and types that STIX lacks"
        ),
    ]


class DatedObservable(ObservableView):
    """All that is stored about a value, with the dates of the reference data behind it."""

    reference: DataDates


class _Judgement(NamedTuple):
    """The part of a view that does not depend on the value.

    It is the same for all observables of a type with the same assertions and effects.
    """

    score: int
    verdict: Verdict
    assessment: msgspec.Raw
    tags: list[str]
    attack: list[str]
    stated: list[str]
    inherited: list[str]
    first_seen: datetime
    last_seen: datetime
    assertions: msgspec.Raw
    sightings: list[SightingView]
    answers: list[AnswerView]


class _Score(NamedTuple):
    """The part of a judgement that follows from the claims."""

    score: int
    verdict: Verdict
    assessment: msgspec.Raw


class _Batch(NamedTuple):
    """What the views of some rows at a moment are made of.

    Attributes:
        judgements: by type, effects and identity of the assertions.
        scores: by type, effects and claims: feeds say the same about most of what they list, at
            different times of a day.
    """

    rows: StoredRows
    now: datetime
    judgements: dict[tuple[str, Effects, int], _Judgement]
    scores: dict[tuple[str, Effects, tuple[tuple[Claim, bool, bool], ...]], _Score]


_encode: Final = msgspec.json.Encoder().encode


@lru_cache(maxsize=16_384)
def _encode_assessment(assessment: Assessment | None) -> msgspec.Raw:
    return msgspec.Raw(_encode(assessment))


def views(rows: StoredRows, now: datetime) -> dict[str, ObservableView]:
    """Views by the id's UUID; an observable that nothing reports at that moment has none."""
    by_id: dict[str, ObservableView] = {}
    batch = _Batch(rows, now, {}, {})
    for row in rows.observables:
        if row[0] not in by_id and _is_visible(row, rows, now):
            by_id[row[0]] = _view(row, batch)
    return by_id


def _is_visible(row: ObservableRow, rows: StoredRows, now: datetime) -> bool:
    """Whether something reports it, or an enricher named it in the answer about another one."""
    identity = row.id
    is_reported = (
        identity in rows.assertions or identity in rows.sightings or identity in rows.answers
    )
    return is_reported or (row.depth > 0 and row.first_seen <= now)


class ScoreParts(NamedTuple):
    """The contributions to a score, and to the three numbers behind it.

    Attributes:
        numbers: None when the first model of scores held, which knew one number.
    """

    contributions: list[Contribution]
    numbers: AssessmentParts | None


def score_parts(rows: StoredRows, now: datetime) -> dict[str, ScoreParts]:
    """The parts of each score; they add up to the score of its view."""
    parts: dict[str, ScoreParts] = {}
    for row in rows.observables:
        if row.id not in parts:
            parts[row.id] = _parts(row, context.effects(row.context), rows, now)
    return parts


def _parts(row: ObservableRow, effects: Effects, rows: StoredRows, now: datetime) -> ScoreParts:
    assertions = rows.assertions.get(row.id, ())
    sightings = rows.sightings.get(row.id, ())
    weights = [answer.weight for answer in rows.answers.get(row.id, ())]
    if rows.model == FIRST_MODEL:
        active = [assertion for assertion in assertions if assertion.active(now)]
        return ScoreParts(
            first_contributions(row.type, active, sightings, weights, effects, now), None
        )
    reported: tuple[Claim, ...] = ()
    if sightings or weights:
        reported, lowering = reported_claims(sightings, weights)
        effects += lowering
    assessed = assessed_score(row.type, assertions, reported, effects, sightings, now)
    return ScoreParts(assessed.contributions, assessed.numbers)


def reference_of(view: ObservableView) -> ObservableReference:
    """A view in short."""
    return ObservableReference(view.id, view.type, view.value, view.score, view.verdict)


def _view(row: ObservableRow, batch: _Batch) -> ObservableView:
    identity, _, type_, value, described, _, depth = row
    rows = batch.rows
    effects = context.effects(described)
    assertions = rows.assertions.get(identity, ())
    if not assertions or identity in rows.sightings or identity in rows.answers:
        judgement = _judge(row, effects, batch)
    else:
        # By identity: observables with the same assertions share the sequence, and hashing its
        # fields takes longer than judging.
        key = (type_, effects, id(assertions))
        shared = batch.judgements.get(key)
        judgement = _judge(row, effects, batch) if shared is None else shared
        if shared is None:
            batch.judgements[key] = judgement
    stix_id = f"{stix_type(type_)}--{identity}"
    return ObservableView(
        stix_id,
        type_,
        value,
        judgement.score,
        judgement.verdict,
        judgement.assessment,
        judgement.tags,
        judgement.attack,
        judgement.stated,
        judgement.inherited,
        judgement.first_seen,
        judgement.last_seen,
        msgspec.Raw(described.encode()),
        judgement.assertions,
        judgement.sightings,
        judgement.answers,
        0 if assertions or judgement.sightings else depth,
        stix_id if has_standard_key(type_) else standard_id(type_, value),
    )


def _judge(row: ObservableRow, effects: Effects, batch: _Batch) -> _Judgement:
    rows = batch.rows
    assertions = rows.assertions.get(row.id, ())
    sightings = rows.sightings.get(row.id, ())
    answers = rows.answers.get(row.id, ())
    active = [assertion for assertion in assertions if assertion.active(batch.now)]
    if sightings or answers or rows.model == FIRST_MODEL:
        score = _score(row, effects, batch)
    else:
        score = _shared_score(row, assertions, effects, batch)
    attack = _union([assertion.attack for assertion in active])
    stated = _union([_statements(assertion).stated for assertion in active])
    dated = (*assertions, *sightings)
    return _Judgement(
        *score,
        _union([assertion.tags for assertion in active]),
        attack,
        stated,
        sorted(set(attack) - set(stated)),
        min([report.first_seen for report in dated], default=row.first_seen),
        max([report.last_seen for report in dated], default=row.first_seen),
        msgspec.Raw(_encode([_assertion_view(assertion) for assertion in assertions])),
        [_sighting_view(sighting) for sighting in sightings],
        [_answer_view(answer) for answer in answers],
    )


def _shared_score(
    row: ObservableRow, assertions: Sequence[StoredAssertion], effects: Effects, batch: _Batch
) -> _Score:
    """The score of what only sources report, computed once for all whose claims are alike."""
    claims = [
        (assertion.undated_claim, assertion.active(batch.now), assertion.retracted_at is None)
        for assertion in assertions
    ]
    key = (row.type, effects, tuple(claims))
    score = batch.scores.get(key)
    if score is None:
        score = batch.scores[key] = _score(row, effects, batch)
    return score


def _score(row: ObservableRow, effects: Effects, batch: _Batch) -> _Score:
    parts, numbers = _parts(row, effects, batch.rows, batch.now)
    score = scoring.total(parts)
    assessment = None if numbers is None else assess(row.type, score, numbers)
    return _Score(score, scoring.verdict(score), _encode_assessment(assessment))


def _assertion_view(assertion: StoredAssertion) -> AssertionView:
    return AssertionView(
        assertion.source,
        assertion.source_id,
        assertion.tenant,
        marking_of(tuple(assertion.tags), assertion.tlp) or assertion.tlp,
        assertion.reliability,
        assertion.confidence,
        assertion.tags,
        assertion.attack,
        *_statements(assertion),
        assertion.malware,
        assertion.first_seen,
        assertion.last_seen,
        assertion.valid_until,
        assertion.retracted_at,
    )


def _statements(assertion: StoredAssertion) -> Statements:
    return statements(tuple(assertion.attack), tuple(assertion.tags))


def _sighting_view(sighting: SightingRow) -> SightingView:
    return SightingView(*sighting)


def _answer_view(answer: AnswerRow) -> AnswerView:
    return AnswerView(
        answer.weight.enricher,
        answer.tenant,
        answer.is_found,
        msgspec.Raw(answer.facts.encode()),
        answer.weight.obtained_at,
        answer.expires_at,
    )


def _union(lists: Sequence[Sequence[str]]) -> list[str]:
    """The texts of all lists, each once, in order."""
    if not any(lists):
        return []
    if len(lists) == 1:
        return sorted(lists[0])
    return sorted({text for texts in lists for text in texts})
