"""Cells of tables carry the names of their columns."""

from services.gateway.console.table_labels import label_cells

HEAD = '<thead><tr><th scope="col">Name</th><th><a href="?a">Kind &amp; "b"</a></th></tr></thead>'


def test_each_cell_gets_the_name_of_its_column() -> None:
    page = (
        f'<p><td></p><table>{HEAD}<tbody><tr><th scope="row">x</th><td>y</td></tr></tbody></table>'
    )
    assert label_cells(page) == (
        f'<p><td></p><table>{HEAD}<tbody><tr><th data-label="Name" scope="row">x</th>'
        '<td data-label="Kind &amp; &quot;b&quot;">y</td></tr></tbody></table>'
    )


def test_rows_begin_anew_and_cells_without_a_column_stay() -> None:
    body = "<tr><td>1</td><td>2</td><td>3</td></tr><tr><td>4</td></tr>"
    page = label_cells(f"<table>{HEAD}{body}</table>")
    assert page.count('data-label="Name"') == 2
    assert "<td>3</td>" in page


def test_a_table_without_a_head_and_a_page_without_a_table_stay() -> None:
    for page in ("<table><tr><td>x</td></tr></table>", "<p>none</p>", "<table><thead>", ""):
        assert label_cells(page) == page


def test_a_large_page_takes_no_more_than_its_length() -> None:
    rows = "<tr><td>x</td><td>y</td></tr>" * 20_000
    assert label_cells(f"<table>{HEAD}{rows}</table>").count("data-label") == 40_000
    assert label_cells("<table><thead" * 2_000).count("data-label") == 0
