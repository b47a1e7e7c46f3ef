"""What an observable inherits from networks, domains and hosts around it."""

import pytest

from services.observables.scoring.inheritance import inherited

DROP = ("ipv4-addr", "203.0.113.0/24", 72)


@pytest.mark.parametrize(
    ("type_", "value", "around", "score"),
    [
        ("ipv4-addr", "203.0.113.7", DROP, 58),
        ("ipv4-addr", "203.0.113.7", ("ipv4-addr", "203.0.0.0/16", 72), 29),
        ("ipv4-addr", "203.0.113.7", ("ipv4-addr", "203.0.0.0/8", 72), 14),
        ("ipv6-addr", "2001:db8::1", ("ipv6-addr", "2001:db8::/48", 80), 32),
        ("domain-name", "login.evil-host.com", ("domain-name", "evil-host.com", 90), 72),
        ("url", "http://evil-host.com/a", ("domain-name", "evil-host.com", 90), 72),
        ("url", "http://www.evil-host.com/a", ("domain-name", "evil-host.com", 90), 54),
        ("url", "http://203.0.113.7/a", DROP, 43),
        ("email-addr", "x@evil-host.com", ("domain-name", "evil-host.com", 90), 45),
    ],
)
def test_the_share_follows_from_width_and_kind(type_, value, around, score):
    assert inherited(type_, value, 0, [around]).score == score


def test_nothing_is_inherited_from_a_suffix_where_anybody_may_register():
    assert (
        inherited("domain-name", "a.duckdns.org", 0, [("domain-name", "duckdns.org", 90)]) is None
    )


def test_of_several_the_strongest_counts_and_is_told_apart():
    wider = ("ipv4-addr", "203.0.0.0/16", 90)
    inheritance = inherited("ipv4-addr", "203.0.113.7", 10, [wider, DROP])
    assert [part.value for part in inheritance.parts] == [DROP[1], wider[1]]
    assert (inheritance.score, inheritance.verdict) == (58, "suspicious")
    assert inherited("ipv4-addr", "203.0.113.7", 85, [DROP]).verdict == "malicious"


def test_what_has_no_score_gives_nothing():
    assert inherited("ipv4-addr", "203.0.113.7", 0, [("ipv4-addr", "203.0.113.0/24", 0)]) is None
