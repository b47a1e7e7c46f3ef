"""Rules against changes: the index finds what a reader of the rules would find."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.notifications.rules.matching import Conditions, RuleSet
from shared.events.observables import Change

TYPES = ["ipv4-addr", "domain-name", "url"]
TAGS = ["c2", "phishing", "tor"]
FEEDS = ["ipsum", "urlhaus"]
KINDS = ["new", "changed", "expired"]
SCORES = st.integers(0, 100)
VALUES = ["192.0.2.1", "192.0.2.2", "www.example.com"]
FILTERS = {
    "": lambda _source, _change: True,
    'observable.type == "url"': lambda _source, change: change.type == "url",
    'observable.type in ["url"] && source.name == "ipsum"': (
        lambda source, change: change.type == "url" and source == "ipsum"
    ),
    '"c2" in observable.tags || "tor" in observable.tags': (
        lambda _source, change: bool({"c2", "tor"} & set(change.tags))
    ),
    'observable.value == "192.0.2.1" && change.kind != "expired"': (
        lambda _source, change: change.value == "192.0.2.1" and change.kind != "expired"
    ),
    'change.kind == "new" && change.score > 30': (
        lambda _source, change: change.kind == "new" and change.score > 30
    ),
    "change.score > change.score_before": (
        lambda _source, change: (
            change.score_before is not None and change.score > change.score_before
        )
    ),
    'observable.value.under("example.com")': (
        lambda _source, change: change.value == "www.example.com"
    ),
    'cidr("192.0.2.2/31").containsIP(observable.value)': (
        lambda _source, change: change.value == "192.0.2.2"
    ),
}


def some(words):
    return st.frozensets(st.sampled_from(words))


CHANGES = st.lists(
    st.builds(
        Change,
        id=st.uuids().map(lambda id_: f"x--{id_}"),
        type=st.sampled_from(TYPES),
        value=st.sampled_from(VALUES),
        kind=st.sampled_from(KINDS),
        score=SCORES,
        score_before=st.none() | SCORES,
        tags=some(TAGS).map(tuple),
    ),
    max_size=30,
)
RULES = st.lists(
    st.builds(
        Conditions,
        rule_id=st.uuids(),
        tenant=st.sampled_from(["acme", "globex", "public"]),
        rule=st.just("rule"),
        on=some(KINDS),
        types=some(TYPES),
        min_score=st.none() | st.integers(1, 100),
        sources=some(FEEDS),
        tags=some(TAGS),
        filter=st.sampled_from(sorted(FILTERS)),
    ),
    max_size=8,
    unique_by=lambda rule: rule.rule_id,
)


def concerns(rule, tenant, source, change):
    """Whether a change matches, condition by condition, the filter among them."""
    conditions = [
        tenant in ("public", rule.tenant),
        change.kind in rule.on,
        not rule.sources or source in rule.sources,
        not rule.types or change.type in rule.types,
        not rule.tags or set(rule.tags) & set(change.tags),
    ]
    if not all(conditions):
        return False
    if not FILTERS[rule.filter](source, change):
        return False
    before = change.score_before or 0
    if rule.min_score is None:
        return change.kind in ("new", "expired") or bool(rule.filter)
    if change.kind == "expired":
        return change.score >= rule.min_score or before >= rule.min_score
    reached = change.score >= rule.min_score
    return reached and (change.kind == "new" or before < rule.min_score)


def oracle(rule, tenant, source, changes):
    return {change.id for change in changes if concerns(rule, tenant, source, change)}


@given(RULES, CHANGES, st.sampled_from(["acme", "public"]), st.sampled_from([*FEEDS, "other"]))
def test_finds_what_an_oracle_finds(rules, changes, tenant, source):
    expected = {rule.rule_id: oracle(rule, tenant, source, changes) for rule in rules}
    rule_set = RuleSet(rules)
    for _ in range(2):  # the second time from the index by source
        matches = {}
        for rule, matched in rule_set.match(tenant, source, changes):
            matches[rule.rule_id] = [change.id for change in matched]
        assert {rule_id: set(ids) for rule_id, ids in matches.items()} == {
            rule_id: ids for rule_id, ids in expected.items() if ids
        }
        assert all(len(ids) == len(set(ids)) for ids in matches.values())


def test_a_change_is_news_when_it_crosses_the_score():
    rule = Conditions(UUID(int=1), "acme", "high", frozenset(["new", "changed"]), min_score=80)
    scores = [
        ("new", None, 80),
        ("new", None, 79),
        ("changed", 79, 80),
        ("changed", 80, 95),
        ("changed", 95, 70),
    ]
    changes = [
        Change(f"x--{number}", "url", "http://a.example", kind, after, before)
        for number, (kind, before, after) in enumerate(scores)
    ]
    [(_, about)] = RuleSet([rule]).match("acme", "ipsum", changes)
    assert [change.id for change in about] == ["x--0", "x--2"]
