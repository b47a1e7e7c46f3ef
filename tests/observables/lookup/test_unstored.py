"""Values of which nothing is stored: what they were read as, and where else to ask."""

from services.observables.lookup.assembly import parse_query


def test_an_id_of_attack_is_told_apart_from_a_broken_address() -> None:
    query = parse_query("t1059.001")
    assert query.problem is not None
    assert query.problem.startswith("T1059.001 is an id of ATT&CK")


def test_other_problems_stay_as_they_are() -> None:
    problem = parse_query("1.2.3.400").problem
    assert problem is not None
    assert "ATT&CK" not in problem
