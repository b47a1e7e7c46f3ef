"""PDF documents: what of them is read."""

import pytest

from shared.documents import pdf, read
from tests.shared.documents import book

PAGE = "BT /F 12 Tf 1 0 0 1 50 500 Tm (evil.com and 45.77.1.2) Tj ET"


def test_a_page_with_more_text_than_is_taken_is_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = read(book.pdf(PAGE), "application/pdf")
    assert (whole.text, whole.notes) == ("evil.com and 45.77.1.2", ())
    monkeypatch.setattr(pdf, "MAX_TEXT", 21)
    cut = read(book.pdf(PAGE), "application/pdf")
    assert (cut.text, cut.notes) == (
        "",
        ("read up to page 0: more than 21 characters are not taken",),
    )
