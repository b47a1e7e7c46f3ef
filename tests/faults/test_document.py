"""The document of the matrix is what the code says, and what it names exists."""

import ast

from tests.faults import document
from tests.faults.rows import ROWS


def test_the_document_is_the_code() -> None:
    text = document.render(document.load_figures())
    assert document.DOCUMENT.read_text() == text, (
        "docs/reliability.md is stale: python -m tests.faults.document"
    )


def test_every_row_of_the_matrix_is_there_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, 36))


def test_every_row_is_shown_or_says_what_is_missing() -> None:
    for row in ROWS:
        assert row.triggers or row.proofs or row.gap, row.number


def test_every_test_that_a_row_names_exists() -> None:
    for row in ROWS:
        for proof in row.proofs:
            path, _, name = proof.partition("::")
            tree = ast.parse((document.ROOT / path).read_text())
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef)}
            assert name in names, proof


def test_the_figures_are_of_scenarios_that_exist() -> None:
    names = {trigger.name for row in ROWS for trigger in row.triggers}
    assert set(document.load_figures().get("scenarios", {})) <= names
