"""PDF documents, written by hand."""

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.pdf import PdfFormat
from shared.documents.pdf import rejoin
from tests.feeds.formats.contract import FormatContract, pairs, parse

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
LOCKED = (
    f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'28bf' * 16}> /U <{'11aa' * 16}> /P -60 >> "
    "/ID [<00> <00>]"
)


def pdf(*pages: list[str], trailer: str = "", info: str = "") -> bytes:
    """A document of pages of lines; `info` describes it."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
    ]
    for at, lines in enumerate(pages):
        shown = "".join(f"<{line.encode().hex()}> Tj T*\n" for line in lines)
        drawn = f"BT /F1 8 Tf 10 TL 40 780 Td\n{shown}ET"
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Contents {5 + 2 * at} 0 R {font} >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    if info:
        objects.append(f"<< {info} >>")
        trailer = f"/Info {len(objects)} 0 R {trailer}"
    whole = "%PDF-1.4\n"
    table = "0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += f"{len(whole):010} 00000 n \n"
        whole += f"{number} 0 obj\n{content}\nendobj\n"
    start = len(whole)
    size = len(objects) + 1
    whole += f"xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer}>>\n"
    whole += f"startxref\n{start}\n%%EOF\n"
    return whole.encode()


REPORT = pdf(
    ["It calls evil[.]com (T1059.001)."], ["Nothing here."], [f"MD5: {MD5}", "192[.]0[.]2[.]1"]
)


class TestPdf(FormatContract):
    is_text = False
    format = PdfFormat()
    samples = (REPORT,)

    def test_a_byte_order_mark_changes_nothing(self):
        assert pairs(parse(self.format, b"\xef\xbb\xbf" + REPORT)) == pairs(
            parse(self.format, REPORT)
        )

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "empty"),
            (b"192.0.2.1\n", "no PDF, or a broken one"),
            (b"%PDF-1.7\nand no more", "no PDF, or a broken one"),
            (pdf(["secret"], trailer=LOCKED), "encrypted"),
        ],
    )
    def test_what_is_no_text_is_said_to_be_what_it_is(self, data, words):
        with pytest.raises(MalformedDocument, match=words):
            parse(self.format, data)


def test_what_pages_name_with_the_page_and_the_line():
    whole = parse(PdfFormat(), REPORT)
    assert [
        (indicator.value, indicator.ref, indicator.description) for indicator in whole.indicators
    ] == [
        ("evil.com", "page 1", "It calls evil[.]com (T1059.001)."),
        (MD5, "page 3", f"MD5: {MD5}"),
        ("192.0.2.1", "page 3", "192[.]0[.]2[.]1"),
    ]
    assert whole.notes == ["names ATT&CK T1059.001"]


def test_pages_without_text_are_noted():
    assert parse(PdfFormat(), pdf(["evil[.]com"], [])).notes == [
        "1 of 2 pages hold no text; scanned pages are not read"
    ]


def test_what_a_line_of_the_page_breaks_is_whole_again():
    url = "hxxps://cdn[.]evil[.]com/a/very/long/path/to/the/payload/"
    page = [
        "The hash",
        SHA256[:50],
        f"{SHA256[50:]} and",
        f"at {url}",
        "stage2/load.php?id=1 for more.",
    ]
    assert [value for _, value in pairs(parse(PdfFormat(), pdf(page)))] == [
        SHA256,
        "https://cdn.evil.com/a/very/long/path/to/the/payload/stage2/load.php?id=1",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        [MD5, MD5],
        [MD5, SHA256, MD5],
        ["http://a.example.com/x/", "http://b.example.com/y/"],
        ["http://a.example.com/x/", "192.0.2.0/24"],
        ["hxxp://a.example.com/panel", "The panel is old"],
    ],
)
def test_lists_stay_lists(lines):
    assert rejoin("\r\n".join(lines)) == "\n".join(lines)


def test_a_hash_may_be_broken_more_than_once():
    long = SHA256 * 2
    assert rejoin("\n".join([long[:44], long[44:88], long[88:], MD5])) == f"{long}\n{MD5}"


def test_hostile_pages_are_rejoined_in_linear_time():
    for unit in (
        "a\n",
        "http://a/\n",
        f"{MD5}\n",
        "f" * 100 + "\n",
        "http://a.com/" + "a" * 90 + "/\n",
        "a" * 90 + "/\n",
    ):
        assert rejoin("http://a.com/" + unit * (200_000 // len(unit)))


def test_only_the_types_that_are_asked_for():
    assert pairs(parse(PdfFormat(), REPORT, types=["md5"])) == [("file-md5", MD5)]
