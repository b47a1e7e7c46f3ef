"""What the search box takes a text for."""

import pytest

from services.gateway.console.search_terms import MAX_VALUES, read_query


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("", "empty", []),
        (" \n\t ", "empty", []),
        ("evil.com", "value", ["evil.com"]),
        (" hxxp://evil[.]com/a ", "value", ["hxxp://evil[.]com/a"]),
        ('"198.51.100.7"', "value", ["198.51.100.7"]),
        ("CVE-2024-3094", "value", ["CVE-2024-3094"]),
        ("t1059", "technique", ["T1059"]),
        ("T1059.001", "technique", ["T1059.001"]),
        ("T10599", "value", ["T10599"]),
        ("Lazarus Group", "name", ["Lazarus Group"]),
        ("a.com, b.com; c.com", "values", ["a.com", "b.com", "c.com"]),
        ("a.com\nb.com\na.com\n", "values", ["a.com", "b.com"]),
        ("a.com,\n'b.com',\n", "values", ["a.com", "b.com"]),
        ("The actor used evil.com\nand then moved to\nbad.example today", "report", []),
    ],
)
def test_a_text_is_recognised(text: str, kind: str, values: list[str]) -> None:
    query = read_query(text)
    assert query.kind == kind
    assert query.values == values


def test_a_list_may_contain_junk() -> None:
    lines = [f"198.51.100.{number}" for number in range(200)] + ["this is no value"] * 50
    query = read_query("\n".join(lines))
    assert query.kind == "values"
    assert len(query.values) == 201


def test_values_beside_other_words_in_a_list_are_read() -> None:
    plain = [f"198.51.100.{number}" for number in range(20)]
    lines = ["evil[.]com # seen on Monday", "- hxxp://a[.]example[.]net/x, block", "no value here"]
    query = read_query("\n".join([*plain, *lines]))
    assert query.values[20:] == ["evil[.]com", "hxxp://a[.]example[.]net/x", "no value here"]


def test_what_is_beyond_the_limit_is_counted() -> None:
    query = read_query("\n".join(f"host{number}.example" for number in range(MAX_VALUES + 7)))
    assert len(query.values) == MAX_VALUES
    assert query.left_out == 7
