"""The plan against a naive model: the stored state is the model's in any order of reports."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.observables.scoring import score
from services.observables.scoring.inputs import ObservableState, StoredAssertion
from services.observables.store import plan as ingest
from services.observables.store.changes import is_news
from services.observables.store.incoming import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
)
from services.observables.store.repository.repeats import add_repeats
from services.observables.store.repository.write import pack_ids
from shared.stix.ids import observable_uuid
from tests.observables.store.naive import Spoken, outcome, promised, written

START = datetime(2026, 11, 1, tzinfo=UTC)
VALUES = ("192.0.2.1", "192.0.2.2")
RELIABILITY = {"s1": 100, "s2": 60, "s3": 80}
NOTHING = IngestPlan([], [], [], [], [], [], [], [], [])


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def identity(value: str) -> str:
    return str(UUID(bytes=observable_uuid("ipv4-addr", value)))


@dataclass
class Store:
    """What the repository does with a plan, in dictionaries."""

    rows: dict[str, ObservableState] = field(default_factory=dict)
    notes: list[tuple[str, datetime, bytes]] = field(default_factory=list)

    def read_states(self, since: datetime) -> dict[str, ObservableState]:
        states = {
            identity_: row._replace(assertions=dict(row.assertions))
            for identity_, row in self.rows.items()
        }
        add_repeats(states, [note for note in self.notes if note[1] >= since])
        return states

    def apply(self, source: AssertingSource, plan: IngestPlan) -> None:
        for assertion, scored in plan.created:
            self.rows[assertion.id] = ObservableState(
                assertion.type,
                assertion.value,
                scored.score,
                {},
                scored_at=source.observed_at,
                due=scored.due,
            )
        for assertion in [*(assertion for assertion, _ in plan.created), *plan.asserted]:
            self.rows[assertion.id].assertions[source.id] = written(
                source, assertion.data, over=assertion.data.retracted
            )
        for assertion in plan.reasserted:
            self._reassert(source, assertion)
        for assertion, moment in plan.widened:
            stored = self.rows[assertion].assertions[source.id]
            self.rows[assertion].assertions[source.id] = stored._replace(
                first_seen=min(moment, stored.first_seen)
            )
        for changed, scored in plan.rescored:
            row = self.rows[changed]
            scored_at = max(source.observed_at, row.scored_at)
            self.rows[changed] = row._replace(
                score=scored.score, due=scored.due, scored_at=scored_at
            )
        for gone in plan.retracted:
            self._retract(source, gone)
        if plan.repeated:
            self.notes.append((source.id, source.observed_at, pack_ids(plan.repeated)))

    def _reassert(self, source: AssertingSource, assertion: IncomingAssertion) -> None:
        stored = self.rows[assertion.id].assertions[source.id]
        fresh = written(source, assertion.data)
        if stored.asserted_at is not None:
            fresh = fresh._replace(first_seen=min(fresh.first_seen, stored.first_seen))
        if assertion.data.retracted:
            fresh = fresh._replace(retracted_at=stored.retracted_at)
        self.rows[assertion.id].assertions[source.id] = fresh

    def _retract(self, source: AssertingSource, gone: str) -> None:
        stored = self.rows[gone].assertions[source.id]
        now = source.observed_at
        if stored.asserted_at is None:
            stored = stored._replace(first_seen=now, last_seen=now, observed_at=now)
        self.rows[gone].assertions[source.id] = stored._replace(retracted_at=now)


hours = st.integers(0, 60)
details = st.fixed_dictionaries(
    {"confidence": st.sampled_from([20, 90])},
    optional={
        "tags": st.sampled_from([(), ("c2",), ("c2", "phish")]),
        "malware": st.sampled_from([None, "Emotet"]),
        "first": hours,
        "last": hours,
        "until": st.integers(0, 100),
        "attack": st.sampled_from([(), ("T1059",)]),
    },
)
words = st.fixed_dictionaries(
    {
        "source": st.sampled_from(sorted(RELIABILITY)),
        "hour": hours,
        "seen": st.dictionaries(st.sampled_from(VALUES), details, max_size=2),
        "gone": st.sets(st.sampled_from(VALUES), max_size=2),
    }
)
kinds = st.fixed_dictionaries(
    {source: st.sampled_from(["stream", "snapshot"]) for source in RELIABILITY}
)
STREAMS = dict.fromkeys(RELIABILITY, "stream")


def source_of(word: dict, kinds: dict[str, str]) -> AssertingSource:
    name = word["source"]
    return AssertingSource(name, name, RELIABILITY[name], at(word["hour"]), kinds[name])


def word_of(word: dict, details_: dict) -> AssertionData:
    def time_of(name: str) -> datetime | None:
        return at(details_[name]) if name in details_ else None

    first = time_of("first")
    observed = at(word["hour"])
    tags = details_.get("tags", ())
    malware = details_.get("malware")
    return AssertionData(
        details_["confidence"],
        tags,
        malware,
        first or observed,
        time_of("until"),
        time_of("last"),
        details_.get("attack", ()),
    )


def speak(store: Store, word: dict, kinds: dict[str, str] = STREAMS) -> IngestPlan:
    source = source_of(word, kinds)
    asserted = [
        IncomingAssertion(identity(value), "ipv4-addr", value, word_of(word, details))
        for value, details in word["seen"].items()
    ]
    over = AssertionData(0, (), None, source.observed_at, None, retracted=True)
    gone = [
        IncomingAssertion(identity(value), "ipv4-addr", value, over)
        for value in sorted(word["gone"] - set(word["seen"]))
    ]
    plan = ingest.build_plan(source, asserted, gone, store.read_states(source.observed_at))
    store.apply(source, plan)
    return plan


def reports_of(history: list[dict], kinds: dict[str, str]) -> Iterator[Spoken]:
    for word in history:
        source = source_of(word, kinds)
        for value, details_ in word["seen"].items():
            yield Spoken(source, value, word_of(word, details_))
        for value in word["gone"] - set(word["seen"]):
            yield Spoken(source, value, None)


def score_of(assertions: dict[str, StoredAssertion], now: datetime) -> int:
    return score.score(
        "ipv4-addr",
        [assertion.claim for assertion in assertions.values() if assertion.active(now)],
        (),
        now,
    )


def newest_of(history: list[dict], value: str) -> datetime:
    return max(at(word["hour"]) for word in history if value in {*word["seen"], *word["gone"]})


def check(store: Store, history: list[dict], kinds: dict[str, str]) -> None:
    """The state after a history, in whatever order it was heard, is the model's."""
    expected = outcome(reports_of(history, kinds))
    assert {row.value: promised(row.assertions) for row in store.rows.values()} == {
        value: promised(assertions) for value, assertions in expected.items()
    }
    for row in store.rows.values():
        # The promise about scores: recomputed, they are the model's at any moment of which no
        # report is; the stored one is no news against the model's at the newest moment of a report.
        newest = newest_of(history, row.value)
        for now in (newest, newest + timedelta(hours=30), newest + timedelta(days=20)):
            assert score_of(row.assertions, now) == score_of(expected[row.value], now)
        assert not is_news(row.score, score_of(expected[row.value], newest))
        ends = [
            assertion.valid_until
            for assertion in row.assertions.values()
            if assertion.active(newest) and assertion.valid_until
        ]
        assert not ends or (row.due is not None and row.due <= min(ends)), (
            "looked at no later than a word ends"
        )


@settings(max_examples=500)
@given(st.lists(words, max_size=10), kinds, st.randoms())
def test_words_that_are_shuffled_and_repeated_come_to_the_end_of_the_model(
    history: list[dict], kinds: dict[str, str], random: Any
) -> None:
    store = Store()
    reports = list[dict]()
    for word in random.sample([*history, *history], 2 * len(history)):
        speak(store, word, kinds)
        reports.append(word)
        check(store, reports, kinds)


@given(st.lists(words, max_size=10), kinds)
def test_words_in_their_order_come_to_the_end_of_the_model(
    history: list[dict], kinds: dict[str, str]
) -> None:
    store = Store()
    for number, word in enumerate(sorted(history, key=lambda word: word["hour"])):
        speak(store, word, kinds)
        check(store, sorted(history, key=lambda word: word["hour"])[: number + 1], kinds)


@given(st.lists(words, max_size=8), kinds)
def test_saying_it_again_changes_nothing(history: list[dict], kinds: dict[str, str]) -> None:
    store = Store()
    for word in history:
        speak(store, word, kinds)
        assert speak(store, word, kinds) == NOTHING


@given(st.lists(words, max_size=12))
def test_changes_tell_exactly_what_changed_for_a_reader(history: list[dict]) -> None:
    store = Store()
    for word in history:
        before = {row: state.score for row, state in store.rows.items()}
        plan = speak(store, word)
        changes = {change.id.partition("--")[2]: change for change in plan.changes}
        for row, state in store.rows.items():
            change = changes.get(row)
            assert change is not None or before.get(row, 0) == state.score
            if change is not None:
                assert change.score == state.score
                assert change.score_before == before.get(row)
                assert (change.kind == "new") == (row not in before)


def says(source: str, hour: int, *gone: str, **seen: int) -> dict:
    listed = {
        VALUES[int(name[1:])]: {"confidence": confidence} for name, confidence in seen.items()
    }
    return {"source": source, "hour": hour, "seen": listed, "gone": set(gone)}


def test_what_a_stream_repeats_within_a_day_writes_nothing_and_is_noted() -> None:
    store = Store()
    speak(store, says("s1", 1, v0=90))
    plan = speak(store, says("s1", 9, v0=90))
    assert plan == NOTHING._replace(repeated=[identity(VALUES[0])])
    assert len(speak(store, says("s1", 25, v0=90)).reasserted) == 1, "the next day's is written"


def test_a_word_that_was_repeated_is_not_taken_back_by_an_older_one() -> None:
    store = Store()
    speak(store, says("s1", 1, v0=90))
    speak(store, says("s1", 9, v0=90))
    assert speak(store, says("s1", 5, VALUES[0])) == NOTHING
    assert speak(store, says("s1", 5, v0=20)) == NOTHING


def test_an_older_word_that_arrives_late_is_not_believed() -> None:
    store = Store()
    speak(store, says("s1", 10, v0=90))
    late = speak(store, says("s1", 5, v0=20))
    assert late == NOTHING._replace(widened=[(identity(VALUES[0]), at(5))]), (
        "but it was seen earlier than was known"
    )
    assert speak(store, says("s1", 4, VALUES[0])) == NOTHING


def test_the_last_source_that_takes_it_back_makes_it_expire() -> None:
    store = Store()
    speak(store, says("s1", 1, v0=90))
    (change,) = speak(store, says("s1", 2, VALUES[0])).changes
    assert (change.kind, change.score_before, change.score, change.sources) == ("expired", 90, 0, 0)


def test_a_late_word_is_scored_as_of_now_and_not_of_its_own_time() -> None:
    store = Store()
    speak(store, says("s1", 24 * 20, v0=20))
    speak(store, says("s2", 1, v0=90))
    faded = score_of(store.rows[identity(VALUES[0])].assertions, at(24 * 20))
    assert store.rows[identity(VALUES[0])].score == faded < round(100 * score.source_weight(60, 90))


def test_a_late_report_does_not_replace_what_a_newer_run_repeated_and_retracted() -> None:
    identity = "11111111-1111-5111-8111-111111111111"
    stored = StoredAssertion(
        tenant="acme",
        source="s",
        source_id="s",
        tlp="clear",
        first_seen=at(1),
        reliability=60,
        confidence=80,
        tags=("a",),
        attack=(),
        malware=None,
        last_seen=at(1),
        valid_until=None,
        retracted_at=at(3),
        kind="stream",
        confirmed_at=None,
        observed_at=at(1),
    )
    states = {
        identity: ObservableState("domain-name", "x.example", 0, {"s": stored}, scored_at=at(3))
    }
    add_repeats(states, [("s", at(3), pack_ids([identity]))])
    late = AssertionData(50, ("b",), None, at(2), None)
    plan = ingest.build_plan(
        AssertingSource("s", "s", 60, at(2)),
        [IncomingAssertion(identity, "domain-name", "x.example", late)],
        [],
        states,
    )
    assert plan.reasserted == []
    assert states[identity].assertions["s"].retracted_at == at(3)
