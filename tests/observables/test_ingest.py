"""The plan against a naive model: whatever sources say in whatever order, the stored state is what the model says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.observables import ingest, scoring
from services.observables.ingest import Plan, Said, Source, Word
from services.observables.knowledge import Known, Stored
from shared.stix.ids import observable_uuid

START = datetime(2026, 11, 1, tzinfo=UTC)
VALUES = ("192.0.2.1", "192.0.2.2", "198.51.100.7")
SOURCES = {"s1": 100, "s2": 60}


def identity(value: str) -> str:
    return observable_uuid("ipv4-addr", value).hex()


@dataclass
class Store:
    """What the repository does with a plan, in a dictionary."""

    rows: dict[str, Known] = field(default_factory=dict)

    def apply(self, source: Source, plan: Plan) -> None:
        for one, scored in plan.created:
            self.rows[one.id] = Known(one.type, one.value, scored.score, {})
        for one in [*(one for one, _ in plan.created), *plan.asserted, *plan.reasserted]:
            self.rows[one.id].assertions[source.id] = Stored(
                source.id,
                source.name,
                source.reliability,
                one.word.confidence,
                one.word.tags,
                None,
                None,
                source.observed_at,
                one.word.retracted,
                source.observed_at,
            )
        for changed, scored in plan.rescored:
            self.rows[changed] = self.rows[changed]._replace(score=scored.score)
        for gone in plan.retracted:
            mine = self.rows[gone].assertions[source.id]
            self.rows[gone].assertions[source.id] = mine._replace(retracted=True, observed_at=source.observed_at)


words = st.fixed_dictionaries(
    {
        "source": st.sampled_from(sorted(SOURCES)),
        "hour": st.integers(0, 60),
        "seen": st.dictionaries(st.sampled_from(VALUES), st.sampled_from([20, 90]), max_size=3),
        "gone": st.sets(st.sampled_from(VALUES), max_size=2),
    }
)


def speak(store: Store, word: dict) -> Plan:
    source = Source(word["source"], word["source"], SOURCES[word["source"]], START + timedelta(hours=word["hour"]))
    source = source._replace(kind=word.get("kind", "stream"))
    said = [
        Said(identity(value), "ipv4-addr", value, Word(confidence, (), None, "2026-11-01T00:00:00Z", None))
        for value, confidence in word["seen"].items()
    ]
    over = Word(0, (), None, "2026-11-01T00:00:00Z", None, retracted=True)
    gone = [Said(identity(value), "ipv4-addr", value, over) for value in sorted(word["gone"] - set(word["seen"]))]
    plan = ingest.plan(source, said, gone, store.rows)
    store.apply(source, plan)
    return plan


@given(st.lists(words, max_size=12))
def test_the_announced_score_is_never_far_from_the_one_its_assertions_give(history: list[dict]) -> None:
    store = Store()
    for word in history:
        speak(store, word)
        now = START + timedelta(hours=word["hour"])
        for value in {*word["seen"], *word["gone"]} & {row.value for row in store.rows.values()}:
            row = store.rows[identity(value)]
            if all(one.observed_at <= now for one in row.assertions.values()):
                active = [one.claim for one in row.assertions.values() if not one.retracted]
                exact = scoring.score("ipv4-addr", active, (), now)
                assert not ingest.is_news(row.score, exact) or exact == row.score or _repeated(row, now)


def _repeated(row: Known, now: datetime) -> bool:
    """A word repeated within a day does not move what is stored, though it counts as said again."""
    return any(now - one.observed_at < ingest.REASSERTED_AFTER for one in row.assertions.values())


@given(st.lists(words, max_size=8))
def test_saying_it_again_changes_nothing(history: list[dict]) -> None:
    store = Store()
    for word in history:
        speak(store, word)
        again = speak(store, word)
        assert again == Plan([], [], [], [], [], [])


@given(st.lists(words, max_size=12))
def test_changes_tell_exactly_what_changed_for_a_reader(history: list[dict]) -> None:
    store = Store()
    for word in history:
        before = {row: known.score for row, known in store.rows.items()}
        plan = speak(store, word)
        told = {change.id.partition("--")[2]: change for change in plan.changes}
        for row, known in store.rows.items():
            change = told.get(row)
            assert change is not None or before.get(row, 0) == known.score
            if change is not None:
                assert change.score == known.score
                assert change.score_before == before.get(row)
                assert (change.kind == "new") == (row not in before)


def test_an_older_word_that_arrives_late_is_not_believed() -> None:
    store = Store()
    speak(store, {"source": "s1", "hour": 10, "seen": {"192.0.2.1": 90}, "gone": set()})
    late = speak(store, {"source": "s1", "hour": 5, "seen": {"192.0.2.1": 20}, "gone": {"192.0.2.1"}})
    assert late == Plan([], [], [], [], [], [])


def test_the_last_source_that_takes_it_back_makes_it_expire() -> None:
    store = Store()
    speak(store, {"source": "s1", "hour": 1, "seen": {"192.0.2.1": 90}, "gone": set()})
    (change,) = speak(store, {"source": "s1", "hour": 2, "seen": {}, "gone": {"192.0.2.1"}}).changes
    assert (change.kind, change.score_before, change.score, change.sources) == ("expired", 90, 0, 0)


def heard(store: Store) -> dict[str, dict[str, int]]:
    """Who says what in the end."""
    return {
        row.value: {one.source_id: one.confidence for one in row.assertions.values() if not one.retracted}
        for row in store.rows.values()
    }


@given(st.lists(words, max_size=10, unique_by=lambda word: (word["source"], word["hour"])), st.randoms())
def test_words_that_are_shuffled_and_repeated_come_to_the_same_end(history: list[dict], random) -> None:
    ordered, shuffled = Store(), Store()
    snapshots = [{**word, "kind": "snapshot"} for word in history]
    for word in sorted(snapshots, key=lambda word: word["hour"]):
        speak(ordered, word)
    for word in random.sample([*snapshots, *snapshots], 2 * len(history)):
        speak(shuffled, word)
    assert heard(shuffled) == heard(ordered)
