"""Roles follow from claims by rules; each rule tells why it did not match."""

from typing import Any

import pytest

from services.gateway.providers.claim_rules import (
    ClaimRule,
    apply_rules,
    describe_outcomes,
)
from shared.auth import Role

SOC = ClaimRule("groups", "soc", "analyst")


@pytest.mark.parametrize(
    ("rule", "claims", "is_match", "reason"),
    [
        (SOC, {"groups": ["staff", "soc"]}, True, "it matches"),
        (SOC, {"groups": "soc"}, True, "it matches"),
        (SOC, {"groups": ["staff"]}, False, "the claim has staff"),
        (SOC, {"groups": []}, False, "the claim has nothing"),
        (SOC, {}, False, "the provider sent no claim groups"),
        (SOC, {"groups": {"soc": True}}, False, "the claim is an object"),
        (SOC, {"groups": ["SOC", "soc "]}, False, "the claim has SOC"),
        (SOC, {"groups": [["soc"], {"a": 1}, None]}, False, "the claim has"),
        (ClaimRule("realm.roles", "a", "viewer"), {"realm": {"roles": ["a"]}}, True, "it matches"),
        (ClaimRule("realm.roles", "a", "viewer"), {"realm.roles": "a"}, True, "it matches"),
        (ClaimRule("realm.roles", "a", "viewer"), {"realm": {}}, False, "no claim realm.roles"),
        (ClaimRule("realm.roles", "a", "viewer"), {"realm": "x"}, False, "no claim realm.roles"),
        (ClaimRule("mail_verified", "true", "viewer"), {"mail_verified": True}, True, "matches"),
        (ClaimRule("level", "3", "viewer"), {"level": 3}, True, "it matches"),
    ],
)
def test_a_rule_matches_and_tells_why(
    rule: ClaimRule, claims: dict[str, Any], is_match: bool, reason: str
) -> None:
    _, [outcome] = apply_rules([rule], claims)
    assert outcome.is_match is is_match
    assert reason in outcome.reason


def test_the_highest_role_counts() -> None:
    rules = [SOC, ClaimRule("groups", "leads", "admin"), ClaimRule("groups", "staff", "viewer")]
    role, outcomes = apply_rules(rules, {"groups": ["staff", "leads"]})
    assert role == Role.admin
    assert [outcome.is_match for outcome in outcomes] == [False, True, True]


def test_who_is_refused_reads_each_rule() -> None:
    _, outcomes = apply_rules([SOC], {"groups": ["staff"]})
    assert describe_outcomes(outcomes) == (
        "No rule leads to a role. groups = soc: the claim has staff."
    )
    assert "no rules yet" in describe_outcomes([])
