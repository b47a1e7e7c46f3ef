"""Sources learn from what came out about their listings: proposed first, applied where wanted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.evidence.learning import (
    FEWEST_LABELS,
    LearnedReliability,
    Outcomes,
    applied_reliability,
    learned_reliability,
)
from services.observables.evidence.quality import learn_sources
from services.observables.evidence.repository.outcomes import HALF_LIFE_DAYS
from services.observables.evidence.service import measure_sources
from services.observables.store.due_scores import check_due
from shared.database import PLATFORM, Database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from tests.observables.conftest import after, changes, chunk, handle

ClientFor = Callable[..., TestClient]


def feed(number: int, reliability: int = 80) -> FeedRef:
    return FeedRef(UUID(int=200 + number), f"list {number}", reliability, kind="snapshot")


def addresses(network: int, count: int, start: int = 1) -> list[Indicator]:
    return [Indicator("ipv4-addr", f"198.51.{network}.{start + at}") for at in range(count)]


def report(client: TestClient, kind: str, items: list[Indicator]) -> None:
    sightings = [{"value": item.value, "kind": kind} for item in items]
    answer = client.post("/v1/sightings", json={"sightings": sightings})
    assert answer.status_code < 300, answer.text


def quality(client: TestClient, type_: str = "") -> dict[str, dict[str, Any]]:
    rows = client.get("/v1/source-quality").json()
    return {row["source"]: row for row in rows if row["type"] == type_}


def apply(client: TestClient, *, applies: bool = True) -> None:
    answer = client.put("/v1/evidence-policy", json={"applies_learning": applies})
    assert answer.status_code == 200, answer.text


def lookup(client: TestClient, value: str, **query: str) -> dict[str, Any]:
    answer = client.get("/v1/lookup", params={"value": value, **query})
    observable: dict[str, Any] = answer.json()["observable"]
    return observable


@pytest.mark.parametrize(
    ("stated", "outcomes", "learned"),
    [
        (80, Outcomes(), 80),
        (80, Outcomes(20, 0, 20), 90),
        (80, Outcomes(0, 20, 20), 40),
        (20, Outcomes(80, 0, 80), 84),
        (80, Outcomes(0, 1e9, 10**9), 7),
        (0, Outcomes(), 2),
        (100, Outcomes(), 98),
    ],
)
def test_the_grade_is_the_prior_and_outcomes_move_it(
    stated: int, outcomes: Outcomes, learned: int
) -> None:
    posterior = learned_reliability(stated, outcomes)
    assert posterior.reliability == learned
    assert 0 <= posterior.low <= learned <= posterior.high <= 100


def test_more_outcomes_leave_less_doubt() -> None:
    widths = []
    for count in (0, 10, 40, 160):
        posterior = learned_reliability(80, Outcomes(0.8 * count, 0.2 * count, count))
        widths.append(posterior.high - posterior.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2


def test_a_small_move_is_not_applied() -> None:
    learned = LearnedReliability(77, 70, 84)
    assert applied_reliability(80, learned, 100, None) is None
    assert applied_reliability(90, learned, 100, None) == 77
    assert applied_reliability(90, learned, 100, 79) == 79
    assert applied_reliability(90, learned, FEWEST_LABELS - 1, 79) is None


def test_a_feed_turned_bad_is_demoted_within_a_week() -> None:
    # As many listings a day as before, and what comes out about them from day 0 on is that they
    # are harmless.
    half = [0.5 ** (age / HALF_LIFE_DAYS) for age in range(60)]
    for day in range(8):
        wrong = 5 * sum(half[:day])
        right = 5 * sum(half[day:])
        reliability = learned_reliability(80, Outcomes(right, wrong, 300)).reliability
        if day == 0:
            assert reliability >= 80
    assert reliability <= 50


@pytest.fixture
def doubted(own: Database, client_for: ClientFor) -> TestClient:
    """A list of which people call half of the entries harmless, and one without outcomes."""
    client = client_for("observables")
    handle(own, chunk(*addresses(1, 30), feed=feed(1), at=after(0)))
    handle(own, chunk(*addresses(2, 30), feed=feed(2), at=after(0)))
    report(client, "false-positive", addresses(1, 15))
    return client


def test_what_is_learned_is_proposed_first(own: Database, doubted: TestClient) -> None:
    before = lookup(doubted, "198.51.1.30")["score"]
    outcome = learn_sources(own)
    assert (outcome.proposed, outcome.applied, outcome.rescored) == (1, 0, 0)
    assert quality(doubted).keys() == {"list 1"}
    row = quality(doubted)["list 1"]
    assert (row["right_count"], row["wrong_count"], row["stated"]) == (0, 15, 80)
    assert row["learned"] < 50
    assert row["low"] < row["learned"] < row["high"]
    assert row["is_applied"] is False
    assert quality(doubted, "ipv4-addr")["list 1"]["wrong_count"] == 15
    assert lookup(doubted, "198.51.1.30")["score"] == before


def test_it_counts_where_the_tenant_says_so_and_the_past_stays(
    own: Database, doubted: TestClient
) -> None:
    before = lookup(doubted, "198.51.1.30")
    moment = datetime.now(UTC).isoformat()
    assert doubted.get("/v1/evidence-policy").json() == {"applies_learning": False}
    apply(doubted)
    assert doubted.get("/v1/evidence-policy").json() == {"applies_learning": True}
    outcome = learn_sources(own)
    assert (outcome.applied, outcome.rescored) == (1, 30)
    learned = quality(doubted)["list 1"]["learned"]
    now = lookup(doubted, "198.51.1.30")
    assert now["score"] == round(learned * 0.9) < before["score"]
    explained = doubted.get(f"/v1/observables/{now['id']}/explain").json()
    assert round(sum(part["points"] for part in explained["contributions"])) == now["score"]
    reason = explained["contributions"][0]["reason"]
    assert f"reliability {learned} % as learned, 80 % as stated" in reason
    then = lookup(doubted, "198.51.1.30", as_of=moment)
    assert (then["score"], then["assessment"]) == (before["score"], before["assessment"])
    assert lookup(doubted, "198.51.2.30")["score"] == before["score"]
    again = learn_sources(own)
    assert (again.applied, again.rescored) == (0, 0)
    # Measuring copies keeps what is learned.
    measure_sources(own)
    assert lookup(doubted, "198.51.1.30")["score"] == now["score"]
    apply(doubted, applies=False)
    assert learn_sources(own).applied == 1
    assert lookup(doubted, "198.51.1.30")["score"] == before["score"]


def test_stored_scores_follow_within_the_hour(own: Database, doubted: TestClient) -> None:
    apply(doubted)
    changes(own)
    learn_sources(own)
    with own.transaction(PLATFORM) as session:
        waiting = session.scalar(
            sa.text("SELECT count(*) FROM observable WHERE due_at < now() + interval '61 minutes'")
        )
        session.execute(sa.text("UPDATE observable SET due_at = now() WHERE due_at IS NOT NULL"))
    assert waiting >= 30
    check_due(own)
    moved = {value: score for value, _, score, _ in changes(own)}
    assert moved["198.51.1.30"] < 50
    assert "198.51.2.30" not in moved


def test_two_other_origins_confirm_and_copies_do_not(own: Database, client_for: ClientFor) -> None:
    client = client_for("observables")
    values = addresses(3, 20)
    for number in (1, 2, 3):
        handle(own, chunk(*values, feed=feed(number, 80 if number < 3 else 50), at=after(0)))
    learn_sources(own)
    # The third has two others that can be relied on; each of these has one.
    assert {name: row["right_count"] for name, row in quality(client).items()} == {"list 3": 20}
    row = quality(client)["list 3"]
    assert row["learned"] > row["stated"] == 50
    measure_sources(own)  # each of them copies another
    learn_sources(own)
    assert quality(client) == {}


def test_old_outcomes_count_less_than_new_ones(own: Database, client_for: ClientFor) -> None:
    client = client_for("observables")
    then = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    old = [Indicator("ipv4-addr", item.value, first_seen=then) for item in addresses(4, 30)]
    fresh = addresses(5, 15)
    handle(own, chunk(*old, *fresh, feed=feed(1), at=after(0)))
    report(client, "confirmed-malicious", old)
    report(client, "false-positive", fresh)
    learn_sources(own)
    row = quality(client)["list 1"]
    assert (row["right_count"], row["wrong_count"]) == (30, 15)
    assert row["learned"] < 50


def test_the_newest_judgement_counts_and_a_withdrawn_one_does_not(
    own: Database, client_for: ClientFor
) -> None:
    client = client_for("observables")
    values = addresses(6, 12)
    handle(own, chunk(*values, feed=feed(1), at=after(0)))
    report(client, "false-positive", values)
    report(client, "confirmed-malicious", values[:6])
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text("UPDATE sighting SET withdrawn_at = now() WHERE observable_id IN "
                    "(SELECT id FROM observable WHERE value = :value)"),
            {"value": values[11].value},
        )  # fmt: skip
    learn_sources(own)
    row = quality(client)["list 1"]
    assert (row["right_count"], row["wrong_count"]) == (6, 5)


def test_another_tenant_sees_and_decides_nothing(
    own: Database, doubted: TestClient, client_for: ClientFor
) -> None:
    apply(doubted)
    stranger = client_for("observables", tenant="globex")
    apply(stranger, applies=False)
    outcome = learn_sources(own)
    assert outcome.applied == 1
    assert stranger.get("/v1/source-quality").json() == []
    assert stranger.get("/v1/evidence-policy").json() == {"applies_learning": False}
    assert doubted.get("/v1/evidence-policy").json() == {"applies_learning": True}
    viewer = client_for("observables", role="analyst")
    assert viewer.put("/v1/evidence-policy", json={"applies_learning": False}).status_code == 403
    wrong = doubted.put("/v1/evidence-policy", json={"applies_learning": "maybe", "x": 1})
    assert wrong.status_code == 422
