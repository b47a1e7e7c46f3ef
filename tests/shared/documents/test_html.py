"""Web pages as text: what is shown of a page, and the notes on what is not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from shared.documents import Document, read
from shared.documents.html import UNSEEN

XHTML = "application/xhtml+xml"
PIECES = ["word{} "] * 4 + [
    "<html>",
    "<head>",
    "</head>",
    "<body>",
    "</body>",
    "<meta>",
    "<p>",
    "</p>",
    "<b>",
]
PIECES += ["<div>", "</div>"]
PIECES += [
    "<svg>",
    "<svg/>",
    "</svg>",
    "<path/>",
    "<g>",
    "<svg a=b/>",
    "<title>t</title>",
    "<style>s</style>",
]
PIECES += [
    "<script>x</script>",
    "<script src=x />y</script>",
    "<template><p>z</template>",
    "<!--c-->",
]
HOSTILE = (
    "<div>",
    "<a b=1>",
    "<svg>",
    "<svg><title>",
    "<svg><foreignObject><div>",
    "<math><mi>",
    "</div>",
    "<nav><td>",
    "<head>",
    "<template>",
    "<script>",
    "<script></script>",
    "<script><![CDATA[</script>]]></script>",
    "<script></script><![CDATA[]]>",
    "<svg><![CDATA[",
    "<svg a=b/>",
    "<svg a = ",
    "<a ='",
    '<a ="',
    "<!--",
    "<!-->",
    "<",
    "</",
    "&#1",
    "<title>",
    "<noscript>",
)


def page(markup: str, kind: str = "text/html") -> Document:
    return read(markup.encode(), kind)


def words(markup: str, kind: str = "text/html") -> list[str]:
    return page(markup, kind).text.split()


@pytest.mark.parametrize(
    "markup",
    [
        "<html><head><title>t</title><body>evil[.]com",
        "<head><title>t</title><p>evil[.]com",
        "<head><title>t</title><section>evil[.]com</section>",
        "<head><meta charset=utf-8><link rel=x>evil[.]com",
        "<head><title>t</title><a href=x>evil[.]com</a>",
        (
            "<head><style>x{}</style><script>y()</script><noscript><link></noscript>"
            "<template><p>z</template></html>evil[.]com"
        ),
        "<head><head><title>t</title></head>evil[.]com",
        "<title>t</title><body><head>evil[.]com",
        "<p>evil[.]com</p><head><title>another page</title></head>",
        "<head></p><title>t</title></head>evil[.]com",
        "<head><noframes><p>x</p></noframes><title>t</title></head>evil[.]com",
    ],
)
def test_a_head_ends_where_browsers_end_it(markup: str) -> None:
    document = page(markup)
    assert (document.text.split(), document.notes) == (["evil[.]com"], ())


@pytest.mark.parametrize(
    "markup",
    [
        "<p><svg/>evil[.]com",
        "<p><svg width='1' />evil[.]com",
        "<p><svg a=b c/>evil[.]com",
        "<p><svg><path d='M0'/><style/><script/><title/></svg>evil[.]com",
        "<p><svg><title>x</title><desc/><g><title>y</title></g></svg>evil[.]com",
        "<p><svg><style>a{}</style><script>b()</script></svg>evil[.]com",
        "<p><svg><foreignObject><div>x</div></foreignObject></svg>evil[.]com",
        "<p><svg><path><p>evil[.]com",
        "<p><svg><style><path></p>evil[.]com",
        "<p><svg><![CDATA[ > ]]></svg>evil[.]com",
        "<p><math/><math><script/></math>evil[.]com",
        "<div><svg><g></div>evil[.]com",
    ],
)
def test_foreign_elements_end_where_browsers_end_them(markup: str) -> None:
    document = page(markup)
    assert (document.text.split(), document.notes) == (["evil[.]com"], ())


def test_in_html_a_slash_ends_no_element_and_no_value() -> None:
    assert words("<p>a<nav/>b</nav>c") == ["a", "c"]
    assert words("<p>a <svg width=1/>b</svg>c") == ["a", "c"]
    assert words("<p>a <svg width= 1/>b</svg>c") == ["a", "c"]
    assert words("<p>a <script src=x />b</script>c") == ["a", "c"]


@pytest.mark.parametrize(
    "markup",
    [
        "<html><head><title/></head><body><iframe/><p>evil[.]com</p></body></html>",
        (
            "<html><head><title>t</title><script src='x'/><style/></head>"
            "<body><p>evil[.]com</p></body></html>"
        ),
        "<html><head/><body><nav/><textarea/><p>evil[.]com</p></body></html>",
        "<p><script>//<![CDATA[\nwrite('</script>') //]]></script>evil[.]com</p>",
        "<p><svg><title/></svg><![CDATA[evil[.]com]]></p>",
        "<?xml version='1.0'?><!DOCTYPE html><html><body><p>evil[.]com</p></body></html>",
    ],
)
def test_in_xhtml_any_element_may_end_in_its_own_tag(markup: str) -> None:
    document = page(markup, XHTML)
    assert (document.text.split(), document.notes) == (["evil[.]com"], ())


def test_what_was_left_out_of_a_page_is_said() -> None:
    assert page("<nav>home</nav><p>the whole article").notes == ()
    mostly = page("<nav>a list of links</nav><footer>and names</footer><p>evil[.]com")
    assert mostly.notes == (
        "most of the page was left out: 20 of 30 characters (12 in <nav>, 8 in <footer>)",
    )
    assert page("<svg><text>evil[.]com</text></svg>").notes == (
        "most of the page was left out: 10 of 10 characters (10 in <svg>)",
    )


@pytest.mark.parametrize(
    ("markup", "what"),
    [
        ("seen <script>evil[.]com", "<script>"),
        ("seen <iframe>evil[.]com", "<iframe>"),
        ("seen <title>evil[.]com", "<title>"),
        ("seen <!-- evil[.]com", "a comment"),
        ("seen <a href='evil[.]com", "a tag"),
        ("seen <svg><![CDATA[evil[.]com", "a CDATA section"),
    ],
)
def test_markup_that_never_ends_is_noted(markup: str, what: str) -> None:
    document = page(markup)
    assert document.text.split() == ["seen"]
    (note,) = document.notes
    assert note.startswith(f"the page breaks off in {what}, which never ends: ")


def test_a_page_that_only_scripts_fill_is_said_to_be_one() -> None:
    shell = (
        "<html><head><title>t</title></head>"
        "<body><div id=root></div><script>evil()</script></body></html>"
    )
    assert page(shell).notes == ("the page itself shows no text; its scripts are not run",)
    assert page("").notes == ()


def test_what_surrounds_an_article_is_left_out() -> None:
    markup = (
        "<header>a</header><article><header>b</header>c</article>"
        "<footer>d</footer><form>e<select>f</select></form>"
    )
    assert words(markup) == ["b", "c", "e"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["text/html", XHTML])
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_pages_are_read_in_linear_time(unit: str, kind: str) -> None:
    # Quadratic, any of them takes minutes.
    started = time.process_time()
    page(unit * (2_000_000 // len(unit)) + "<p>end</p>", kind)
    assert time.process_time() - started < 10


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_the_words_that_are_shown_are_those_of_a_parser_by_the_standard(pieces: list[str]) -> None:
    markup = "".join(piece.format(number) for number, piece in enumerate(pieces))
    tree = LexborHTMLParser(markup)
    tree.strip_tags([*UNSEEN, "title"])
    assert "".join(words(markup)) == "".join(tree.body.text().split() if tree.body else [])
