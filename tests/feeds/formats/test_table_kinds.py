"""Tables as people export them: titles above the header, headers of other languages, own hosts."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.feeds.formats import format_named
from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.csv import CsvFormat
from services.feeds.formats.fields import timestamp
from services.feeds.formats.header_languages import english_header
from services.feeds.formats.json import JsonFormat
from services.feeds.formats.registry import guess_format
from tests.feeds.formats.contract import drops, parse
from tests.feeds.formats.test_field_cases import values

ADDRESSES = ["45.155.205.233", "185.220.101.34", "193.32.162.10"]
DELIMITERS = st.sampled_from((",", ";", "\t"))
TITLES = st.sampled_from(
    ("Threat export 2026", "Created by: a team", "Report of 30.11.2026", "Q3", "", "- internal -")
)


def rows(delimiter: str, *lines: list[str]) -> bytes:
    """Lines of a table."""
    return "\n".join(delimiter.join(line) for line in lines).encode()


@given(
    st.lists(TITLES, max_size=6),
    DELIMITERS,
    st.sampled_from(
        (["No.", "Indicator", "Malware"], ["Nr", "IP Address", "Malware"], ["a", "b", "Malware"])
    ),
    st.booleans(),
)
def test_a_title_above_the_header_is_passed_over(titles, delimiter, header, is_padded):
    """At 929fb88 the title became the header, and the header a value that was left out."""
    filled = [title for title in titles if title]
    above = [[title, "", ""] if is_padded else [title] for title in titles]
    data = [[str(at), address, "Mirai"] for at, address in enumerate(ADDRESSES, 1)]
    document = rows(delimiter, *above, header, *data)
    whole = parse(CsvFormat(), document)
    assert [item.value for item in whole.indicators] == ADDRESSES
    assert {item.malware for item in whole.indicators} == {"Mirai"}
    assert drops(whole) == []
    assert whole.account is not None
    assert whole.account.context.get("header") == 1
    if filled or (titles and is_padded):
        assert any(f"`--option skip={len(titles)}`" in note for note in whole.notes)
        assert parse(CsvFormat(), document, skip=len(titles)).indicators == whole.indicators


@given(st.integers(0, 300))
@example(199)
def test_the_option_skip_passes_lines_over(count):
    document = rows(",", *[["no part,of it"]] * count, ["ip", "malware"], [ADDRESSES[0], "Mirai"])
    whole = parse(CsvFormat(), document, skip=count)
    assert [(item.value, item.malware) for item in whole.indicators] == [(ADDRESSES[0], "Mirai")]
    lines = document.decode().split("\n")
    reader = CsvFormat().reader(lines, {"skip": count})
    assert reader is not None
    assert reader.read(lines, range(1, len(lines) + 1)).indicators == whole.indicators


def test_a_table_without_a_title_keeps_its_first_line():
    document = b"name,note\nfirst,\nsecond,x\n45.155.205.233,y\n"
    whole = parse(CsvFormat(), document, columns={"value": "name"})
    assert [item.value for item in whole.indicators] == ["45.155.205.233"]
    assert len(whole.dropped) == 2


CONTEXT = {
    "malware": ("malware", "Schadsoftware", "Logiciel malveillant", "malware_family"),
    "first_seen": (
        "first_seen",
        "Erstmals gesehen",
        "Primera vez visto",
        "Premi\u00e8re observation",
    ),
    "confidence": ("confidence", "Vertrauensstufe", "Confiance", "Confianza", "Confian\u00e7a"),
    "description": ("comment", "Bemerkung", "Commentaire", "Coment\u00e1rio", "description"),
    "tags": ("tags", "Schlagworte", "Etiquetas"),
}
CELLS = {
    "malware": "Mirai",
    "first_seen": "24.11.2026 13:05",
    "confidence": "85",
    "tags": "tor",
    "description": "seen twice",
}
EXPECTED = {**CELLS, "first_seen": "2026-11-24T13:05:00Z", "confidence": 85, "tags": ("tor",)}


@given(st.data(), DELIMITERS)
def test_the_answer_to_a_doubt_keeps_what_describes_the_value(data, delimiter):
    """At 929fb88 a table that was read by `columns.value` alone lost all other columns."""
    fields = data.draw(st.lists(st.sampled_from(sorted(CONTEXT)), unique=True))
    names = [data.draw(st.sampled_from(CONTEXT[field])) for field in fields]
    header = ["src_ip", "dst_ip", *names]
    cells = [CELLS[field] for field in fields]
    lines = [[address, f"203.0.113.{at}", *cells] for at, address in enumerate(ADDRESSES)]
    document = rows(delimiter, header, *lines)
    with pytest.raises(AmbiguousDocument) as doubt:
        parse(CsvFormat(), document)
    assert [choice["options"]["columns"]["value"] for choice in doubt.value.alternatives] == [
        0,
        1,
        [0, 1],
    ]
    for choice in doubt.value.alternatives:
        for item in parse(CsvFormat(), document, **choice["options"]).indicators:
            assert {field: getattr(item, field) for field in fields} == {
                field: EXPECTED[field] for field in fields
            }


def test_other_fields_are_not_guessed_beside_given_ones():
    document = b"ip,malware,tags\n45.155.205.233,Mirai,tor\n"
    (item,) = parse(CsvFormat(), document, columns={"value": "ip", "tags": "tags"}).indicators
    assert (item.malware, item.tags) == (None, ("tor",))


def test_all_columns_of_a_doubt_are_offered():
    document = b"a_ip,b_ip,c_ip\n45.155.205.233,185.220.101.34,193.32.162.10\n"
    with pytest.raises(AmbiguousDocument) as doubt:
        parse(CsvFormat(), document)
    assert doubt.value.alternatives[-1]["options"] == {"columns": {"value": [0, 1, 2]}}


@pytest.mark.parametrize(
    ("header", "english"),
    [
        ("IP-Adresse", "ip_address"),
        ("Dom\u00e4ne", "domain"),
        ("G\u00fcltig bis", "valid_until"),
        ("Gueltig bis", "valid_until"),
        ("Nom de domaine", "domain"),
        ("Direcci\u00f3n IP", "ip_address"),
        ("Endere\u00e7o IP", "ip_address"),
        ("Angreifer-IP", "attacker_ip"),
        ("Meldende Stelle", "reporter"),
        ("first_seen", "first_seen"),
        ("Source", "Source"),
        ("", ""),
    ],
)
def test_headers_of_other_languages(header, english):
    assert english_header(header) == english


@given(
    st.sampled_from(
        ("Angreifer", "IP-Adresse", "Schadadresse", "Adresse IP", "Direcci\u00f3n IP", "Atacante")
    ),
    st.sampled_from(
        ("Melder", "Quelle", "Unser Gateway", "V\u00edctima", "Rapporteur", "Sensor", "Foo")
    ),
    st.sampled_from(
        (["cert.at", "bund.de", "govcert.ch"], ["203.0.113.1", "203.0.113.2", "203.0.113.3"])
    ),
    st.booleans(),
    DELIMITERS,
)
def test_who_reports_is_no_indicator(name, other, cells, is_first, delimiter):
    """At 929fb88 both were, if neither header was known."""
    columns = [(name, ADDRESSES), (other, cells)]
    columns = columns if is_first else columns[::-1]
    first, last = columns
    lines = [list(line) for line in zip(first[1], last[1], strict=True)]
    document = rows(delimiter, [first[0], last[0]], *lines)
    assert values(document, "list.csv") == ADDRESSES


@given(
    st.lists(st.sampled_from(("foo", "bar", "Xyz 1", "qux")), min_size=2, max_size=2, unique=True),
    DELIMITERS,
)
def test_two_types_below_unknown_headers_are_a_doubt(names, delimiter):
    lines = [[address, f"evil-{at}.com"] for at, address in enumerate(ADDRESSES)]
    with pytest.raises(AmbiguousDocument) as doubt:
        parse(CsvFormat(), rows(delimiter, names, *lines))
    choices = [choice["options"]["columns"]["value"] for choice in doubt.value.alternatives]
    assert choices == [0, 1, [0, 1]]


def test_own_addresses_beside_others_are_context():
    document = b"src_ip,dst_ip\n45.155.205.233,10.1.1.5\n185.220.101.34,10.1.1.6\n"
    assert values(document, "list.csv") == ADDRESSES[:2]
    items = b'[{"source":{"ip":"45.155.205.233"},"destination":{"ip":"10.1.1.5"}}]'
    assert values(items, "list.json") == ADDRESSES[:1]


@given(st.sampled_from(sorted(CONTEXT)), st.booleans())
def test_json_and_xml_keep_what_describes_a_value(field, is_given):
    """At 929fb88 every property beside the value was lost."""
    name = CONTEXT[field][0]
    document = f'[{{"ip": "{ADDRESSES[0]}", "{name}": "{CELLS[field]}"}}]'.encode()
    (item,) = parse(JsonFormat(), document, **({"value": "ip"} if is_given else {})).indicators
    assert getattr(item, field) == EXPECTED[field]
    element = f"<e><ip>{ADDRESSES[0]}</ip><{name}>{CELLS[field]}</{name}></e>"
    xml = f"<list>{element}<e><ip>{ADDRESSES[1]}</ip></e></list>"
    first, _ = parse(format_named("xml"), xml.encode()).indicators
    assert getattr(first, field) == EXPECTED[field]


def test_notes_keep_the_names_of_properties():
    whole = parse(
        JsonFormat(), b'[{"ip_column": "45.155.205.233"}, {"ip_column": "185.220.101.34"}]'
    )
    assert "'ip_column'" in whole.notes[0]


def test_several_lists_of_a_document_can_be_read_together():
    document = b'{"ips": [{"ip": "45.155.205.233"}], "names": [{"domain": "evil-login.com"}]}'
    with pytest.raises(AmbiguousDocument) as doubt:
        parse(JsonFormat(), document)
    whole = parse(JsonFormat(), document, **doubt.value.alternatives[-1]["options"])
    assert {item.value for item in whole.indicators} == {"45.155.205.233", "evil-login.com"}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24.11.2026 13:05", "2026-11-24T13:05:00Z"),
        ("4.1.2026", "2026-01-04T00:00:00Z"),
        ("24.11.2026, 13:05:09 Uhr", "2026-11-24T13:05:09Z"),
        ("24.13.2026", None),
        ("11/12/2026", None),
        ("24.11.26", None),
    ],
)
def test_dates_between_dots_are_day_month_year(text, moment):
    assert timestamp(text) == moment


def test_sixty_thousand_columns_are_guessed_in_the_time_of_their_cells():
    """At 929fb88 the names alone took 1.8 thousand million steps."""
    document = b"," * 60_000 + b"\n192.0.2.1"
    name, _ = guess_format("list.csv", document[:65536])
    batches = list(format_named(name).parse(io.BytesIO(document), {}))
    assert [item.value for batch in batches for item in batch.indicators] == ["192.0.2.1"]
