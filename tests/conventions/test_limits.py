"""A query with a limit says which rows it chooses; each kind of violation would be noticed."""

import pytest

from tests.conventions.limits import files_with_queries, unordered_limits
from tests.conventions.rules import ROOT


def test_every_limit_has_an_order_or_a_reason() -> None:
    files = list(files_with_queries(ROOT))
    assert len(files) > 100
    problems = [
        f"{path.relative_to(ROOT)}:{line}: {message}"
        for path in files
        for line, message in unordered_limits(path.read_text())
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "text",
    [
        'Q = "SELECT id FROM observable LIMIT 10"\n',
        'Q = (\n    "SELECT id FROM observable "\n    "WHERE score > 5 LIMIT %(most)s"\n)\n',
        'Q = f"SELECT id FROM {TABLE} LIMIT :limit"\n',
        'Q = "SELECT id FROM (SELECT id FROM a LIMIT 5) x ORDER BY id"\n',
        'Q = "(SELECT id FROM a ORDER BY id) UNION (SELECT id FROM b LIMIT 5)"\n',
        'Q = "SELECT id FROM a ORDER BY id UNION SELECT id FROM b LIMIT 5"\n',
        'Q = "DELETE FROM a WHERE id IN (SELECT id FROM a LIMIT 5)"\n',
        "rows = session.execute(sa.select(T.c.id).limit(5))\n",
        "def f():\n    query = sa.select(T.c.id)\n    return query.limit(5)\n",
        "def f():\n    query = sa.select(T).where(x).limit(5).with_for_update()\n",
        # The order of another function's query does not count.
        "def g():\n    query = q.order_by(a)\n\n\ndef f():\n    query = q\n    query.limit(5)\n",
    ],
)
def test_a_limit_without_an_order_is_noticed(text: str) -> None:
    assert len(list(unordered_limits(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        'Q = "SELECT id FROM observable ORDER BY id LIMIT 10"\n',
        'Q = "SELECT EXISTS (SELECT FROM observable WHERE tenant = :tenant LIMIT 1)"\n',
        'Q = "SELECT count(*) FROM (SELECT 1 FROM a ORDER BY id DESC LIMIT 5) x"\n',
        "# any rows: all are deleted in the end\nQ = 'SELECT id FROM a LIMIT 5'\n",
        "rows = session.execute(sa.select(T).order_by(T.c.id).limit(5))\n",
        "rows = session.execute(sa.select(T).limit(5).order_by(T.c.id))\n",
        "_ALL = sa.select(T).order_by(T.c.id)\n\n\ndef f():\n    query = _ALL.limit(5)\n",
        "def f():\n    query = sa.select(T)\n    query = query.order_by(a)\n    query.limit(5)\n",
        "query.limit(5)  # any rows: it only looks whether there is a backlog\n",
        '"""SELECT id FROM a LIMIT 5 stands in a docstring."""\n',
    ],
)
def test_an_order_or_a_reason_is_enough(text: str) -> None:
    assert not list(unordered_limits(text))
