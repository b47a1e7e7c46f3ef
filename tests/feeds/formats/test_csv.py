"""Tables."""

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.csv import CsvFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse

URLS = b"""################
# Reported URLs  #
################
#
# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter
"31","2026-08-22 03:00:29","http://192.0.2.9:55/bin.sh","online",\
"2026-08-22 03:00:29","malware_download","32-bit,elf,mips","https://example.org/url/31/","someone"
"32","2026-08-22 03:01:00","hxxp://evil.example.com/a ""b"".exe",\
"offline","","malware_download","None","https://example.org/url/32/","someone"
"33","2026-08-22 03:02:00","not a url","offline","",\
"malware_download","","https://example.org/url/33/","someone"
"""
SAMPLES = b"""first_seen_utc;sha1_hash;sha256_hash;file_name;signature;confidence_level
2026-01-02;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;\
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;a.exe;Emotet;75
;;E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B856;b.exe;n/a;high
2026-01-02T03:04:05+02:00;;;c.exe;;
"""
MIXED = b"""ioc_type,ioc_value,malware_printable,tags
ip:port,192.0.2.1:4444,Cobalt Strike,"c2,stager"
domain,evil.example.com,Cobalt Strike,c2
sha1_hash,xyz,Cobalt Strike,
"""


OTHER_COLUMNS = (
    "`--option columns.value=NAME` reads another column instead, and "
    "`--option columns.value=[2,7]` reads 'urlhaus_link' as well"
)


class TestCsv(FormatContract):
    format = CsvFormat()
    samples = (URLS, SAMPLES, MIXED)

    def test_it_is_found_by_name_and_content(self):
        from services.feeds.formats import guess_format

        assert guess_format("urls.csv", URLS) == ("csv", "its name ends in .csv")
        assert guess_format("https://example.com/x.csv?y=z#a", URLS)[0] == "csv"
        assert guess_format("feed", SAMPLES)[0] == "csv"
        assert guess_format("feed", URLS)[0] == "csv"
        assert guess_format("feed", MIXED)[0] == "csv"


def test_a_header_within_comments():
    whole = parse(CsvFormat(), URLS)
    first, second = whole.indicators
    assert first.value == "http://192.0.2.9:55/bin.sh"
    assert first.tags == ("32-bit", "elf", "mips")
    assert first.first_seen == first.last_seen == "2026-08-22T03:00:29Z"
    assert second.value == "http://evil.example.com/a%20%22b%22.exe"
    assert second.last_seen is None
    assert drops(whole) == [("line 8", "malformed URL")]
    assert whole.notes == [
        "values taken from column 'url' as url: 2 of the first 3 rows hold observables there",
        f"left aside as context: 'urlhaus_link' (url); {OTHER_COLUMNS}",
    ]


def test_every_hash_of_a_row_is_a_value():
    whole = parse(CsvFormat(), SAMPLES)
    other, first, second = sorted(whole.indicators, key=lambda record: record.type)
    assert (other.type, other.malware) == ("file-sha1", "Emotet")
    assert first.type == second.type == "file-sha256"
    assert (first.malware, first.confidence, first.first_seen) == (
        "Emotet",
        75,
        "2026-01-02T00:00:00Z",
    )
    assert (second.malware, second.confidence, second.first_seen) == (None, 85, None)
    assert drops(whole) == [("line 4", "empty")]


def test_a_column_names_the_type():
    whole = parse(CsvFormat(), MIXED)
    assert pairs(whole) == [("ipv4-addr", "192.0.2.1"), ("domain-name", "evil.example.com")]
    assert [record.tags for record in whole.indicators] == [("c2", "stager"), ("c2",)]
    assert drops(whole) == [("line 4", "malformed hash")]


def test_a_mapping_by_name_and_by_number():
    table = b"a|b|c\nx|192.0.2.1|evil.example.com\n"
    expected = [("domain-name", "evil.example.com"), ("ipv4-addr", "192.0.2.1")]
    assert pairs(parse(CsvFormat(), table, columns={"value": ["C", "b"]})) == expected
    assert (
        pairs(parse(CsvFormat(), table, columns={"value": [2, 1]}, delimiter="|", header=True))
        == expected
    )
    whole = parse(CsvFormat(), table, columns={"value": 1}, header=False)
    assert (pairs(whole), drops(whole)) == (
        [("ipv4-addr", "192.0.2.1")],
        [("line 1", "single label")],
    )


def test_a_table_without_a_header():
    whole = parse(CsvFormat(), b"1,192.0.2.1,2026-01-01\n2,192.0.2.2,2026-01-02\n")
    assert [value for _, value in pairs(whole)] == ["192.0.2.1", "192.0.2.2"]
    assert "column number 2" in whole.notes[0]


@pytest.mark.parametrize(
    "columns", [{"value": "SHA1"}, {"value": 7}, {"value": -1}, {"value": "a", "tags": "labels"}]
)
def test_wrong_columns_are_named_with_those_that_are_there(columns):
    with pytest.raises(
        MalformedDocument, match=r"line 1: column .* is wanted, the columns are a, b$"
    ):
        parse(CsvFormat(), b"a,b\nevil.example.com,192.0.2.1\n", columns=columns)


def test_a_name_needs_a_header():
    with pytest.raises(MalformedDocument, match="the columns have no names"):
        parse(CsvFormat(), b"192.0.2.1,192.0.2.2\n192.0.2.1,192.0.2.2\n", columns={"value": "ip"})


def test_a_table_without_observables_names_its_columns():
    with pytest.raises(
        MalformedDocument, match="no column holds observables; the columns are name, age"
    ):
        parse(CsvFormat(), b"name,age\nann,31\nbob,22\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": {"tags": "x"}}, "value"),
        ({"columns": {"value": "x", "colour": 1}}, "colour"),
        ({"delimiter": ", "}, "one character"),
        ({"type": "nonsense"}, "no type of observable"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(InvalidInput, match=words):
        parse(CsvFormat(), MIXED, **options)


def test_short_rows_and_line_ends_within_quotes():
    whole = parse(
        CsvFormat(),
        b'id,ip,note\n1,192.0.2.1,"two\nlines"\n2\n3,192.0.2.3,x\n',
        columns={"value": "ip", "description": "note"},
    )
    assert [(record.value, record.description) for record in whole.indicators] == [
        ("192.0.2.1", "two lines"),
        ("192.0.2.3", "x"),
    ]
    assert drops(whole) == [("line 4", "missing column")]


def test_a_quote_that_is_never_closed_costs_a_bounded_part():
    rows = b"".join(b"%d,192.0.2.1\n" % number for number in range(40_000))
    whole = parse(CsvFormat(), b'id,ip\n0,"192.0.2.7\n' + rows, columns={"value": "ip"})
    assert len(whole.indicators) == 40_001
    assert whole.notes == ["line 2 opens a quote that is not closed; it was read by itself"]


def test_an_empty_table_is_empty():
    assert parse(CsvFormat(), b"# nothing today\n").indicators == []


MISP_EXPORT = b"""uuid,event_id,category,type,value,comment,to_ids,date
"u-1","12","Network activity","ip-dst","198.51.100.7","the first",1,20240101
"u-2","12","Network activity","ip-dst|port","198.51.100.8|443","",1,20240101
"u-3","12","Payload delivery","filename|md5","a.exe|0cc175b9c0f1b6a831c399e269772661","",1,20240101
"u-4","12","External analysis","link","https://blog.example.org/report","",0,20240101
"u-5","12","Network activity","domain|ip","one.example.com|198.51.100.9","",1,20240101
"u-6","12","Network activity","hostname","cdn.example.net","",0,20240101
"u-7","12","Network activity","ip-src","","",1,20240101
"""


def test_an_export_of_misp_is_read_as_misp_means_it():
    whole = parse(CsvFormat(), MISP_EXPORT)
    assert pairs(whole) == [
        ("ipv4-addr", "198.51.100.7"),
        ("ipv4-addr", "198.51.100.8"),
        ("file-name", "a.exe"),
        ("file-md5", "0cc175b9c0f1b6a831c399e269772661"),
        ("domain-name", "one.example.com"),
        ("ipv4-addr", "198.51.100.9"),
    ]
    assert drops(whole) == [
        ("line 5", "not for detection"),
        ("line 7", "not for detection"),
        ("line 8", "empty"),
    ]
    assert (whole.indicators[0].ref, whole.indicators[0].description) == ("u-1", "the first")
    assert "MISP" in whole.notes[0]


def test_the_lines_of_an_export_of_misp_are_independent():
    lines = MISP_EXPORT.decode().splitlines()
    reader = CsvFormat().reader(lines, {})
    result = reader.read(lines[5:6], [6])
    assert [indicator.value for indicator in result.indicators] == [
        "one.example.com",
        "198.51.100.9",
    ]


def test_columns_of_a_network():
    ranges = b"Start\tEnd\tNetblock\tName\temail\n"
    ranges += b"198.51.100.0\t198.51.100.255\t24\tX\ta@isp.example.net\n"
    whole = parse(CsvFormat(), ranges + b"203.0.113.0\t203.0.113.127\t25\t\t\n")
    assert [value for _, value in pairs(whole)] == ["198.51.100.0/24", "203.0.113.0/25"]
    masks = b"network,netmask\n198.51.100.0,255.255.255.0\n203.0.113.0,255.255.255.128\n"
    whole = parse(CsvFormat(), masks)
    assert [value for _, value in pairs(whole)] == ["198.51.100.0/24", "203.0.113.0/25"]
    ends = b"first_ip,last_ip\n198.51.100.0,198.51.100.255\n203.0.113.9,203.0.113.1\n"
    whole = parse(CsvFormat(), ends)
    assert [value for _, value in pairs(whole)] == ["198.51.100.0/24"]
    assert drops(whole) == [("line 3", "malformed range")]


def test_two_columns_of_one_type_are_a_doubt():
    table = b"src_ip,dst_ip\n198.51.100.7,203.0.113.9\n198.51.100.8,203.0.113.9\n"
    with pytest.raises(MalformedDocument, match="say by the option `columns`") as problem:
        parse(CsvFormat(), table)
    for alternative in problem.value.details["alternatives"]:
        assert alternative["format"] == "csv"
        assert parse(CsvFormat(), table, **alternative["options"]).indicators


def test_columns_that_describe_are_left_aside_with_a_word():
    table = b"""ip,abuse_contact,asn,link,country
198.51.100.7,abuse@isp.example.net,AS64500,https://site.example.org/1,NL
198.51.100.8,abuse@isp.example.com,AS64501,https://site.example.org/2,DE
198.51.100.9,abuse@isp.example.com,AS64501,https://site.example.org/3,DE
"""
    whole = parse(CsvFormat(), table)
    assert [value for _, value in pairs(whole)] == ["198.51.100.7", "198.51.100.8", "198.51.100.9"]
    for name in ("abuse_contact", "asn", "link"):
        assert name in whole.notes[1]


def test_a_cell_may_hold_a_list():
    table = b"id;hosts\n1;one.example.com, two.example.net\n2;three.example.org\n"
    assert [value for _, value in pairs(parse(CsvFormat(), table))] == [
        "one.example.com",
        "two.example.net",
        "three.example.org",
    ]


def test_a_delimiter_within_a_name_moves_no_column():
    rows = b"64500|A trading | as|198.51.100.7|2024-04-02\n64501|B|198.51.100.8|2024-04-02\n"
    whole = parse(
        CsvFormat(), rows, delimiter="|", header=False, columns={"value": 2, "last_seen": 3}
    )
    assert [(record.value, record.last_seen) for record in whole.indicators] == [
        ("198.51.100.7", "2024-04-02T00:00:00Z"),
        ("198.51.100.8", "2024-04-02T00:00:00Z"),
    ]


def test_a_header_may_end_in_a_delimiter():
    whole = parse(CsvFormat(), b"id;ip;date;\n1;198.51.100.8;26-08-2017;\n")
    assert (pairs(whole), drops(whole)) == ([("ipv4-addr", "198.51.100.8")], [])


def test_times_that_are_not_understood_are_told():
    rows = b"ip,first_seen,last_seen\n192.0.2.1,26-08-2017,2026-01-01\n192.0.2.2,,2026-01-02\n"
    assert (
        "first_seen in column 'first_seen' are not understood: '26-08-2017'"
        in (parse(CsvFormat(), rows).notes[1])
    )


def test_a_guessed_table_gives_no_wide_networks():
    table = b"start,end\n0.0.0.1,255.255.255.254\n198.51.100.0,198.51.100.255\n"
    whole = parse(CsvFormat(), table)
    assert [value for _, value in pairs(whole)] == ["198.51.100.0/24"]
    assert drops(whole) == [("line 2", "network too wide")]
    assert pairs(parse(CsvFormat(), b"ip,x\n64.0.0.0/2,1\n64.0.0.1,2\n")) == [
        ("ipv4-addr", "64.0.0.1")
    ]
    chosen = parse(CsvFormat(), b"ip,x\n64.0.0.0/8,1\n", columns={"value": "ip"})
    assert pairs(chosen) == [("ipv4-addr", "64.0.0.0/8")]


def test_a_range_of_many_networks_is_none():
    table = b"first_ip,last_ip\n::2,ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n192.0.2.1,192.0.2.1\n"
    whole = parse(CsvFormat(), table)
    assert (len(whole.indicators), drops(whole)) == (1, [("line 2", "malformed range")])


FIXED = (
    "LAST SEEN            ADDRESS          COUNTRY\n"
    "2026-01-01 10:00:00  203.0.113.7      US\n"
    '2026-01-02 10:00:00  203.0.113.119    United "Kingdom"\n'
    "2026-01-03 10:00:00                   DE\n"
    "2026-01-04 10:00:00  203.0.113.12\n"
)


def test_columns_of_fixed_width():
    from services.feeds.formats import guess_format

    assert guess_format("list.txt", FIXED.encode())[0] == "csv"
    whole = parse(CsvFormat(), FIXED.encode())
    assert [(entry.value, entry.last_seen) for entry in whole.indicators] == [
        ("203.0.113.7", "2026-01-01T10:00:00Z"),
        ("203.0.113.119", "2026-01-02T10:00:00Z"),
        ("203.0.113.12", "2026-01-04T10:00:00Z"),
    ]
    assert len(whole.dropped) == 1
    assert "`starts`: [0, 21, 38]" in whole.notes[0]


def test_columns_of_fixed_width_by_their_option_and_line_by_line():
    lines = FIXED.splitlines()
    reader = CsvFormat().reader(lines, {"starts": [0, 21, 38]})
    result = reader.read(lines[1:], range(2, 6))
    assert [entry.value for entry in result.indicators] == [
        "203.0.113.7",
        "203.0.113.119",
        "203.0.113.12",
    ]


@pytest.mark.parametrize(
    "document",
    [
        "203.0.113.7      a comment\n203.0.113.8      another\n203.0.113.9\n",
        "A report\n\nIt  was seen at 203.0.113.7\nand  at 203.0.113.8 also\n",
    ],
)
def test_text_with_blanks_is_no_table(document):
    from services.feeds.formats import guess_format

    assert guess_format("list.txt", document.encode())[0] != "csv"


@pytest.mark.parametrize("cell", ['="{}"', '"=""{}"""'])
def test_a_text_that_excel_wrote_as_a_formula_is_its_text(cell):
    rows = "".join(f"{cell.format(f'198.51.100.{n}')},a\n" for n in (7, 8))
    expected = ["198.51.100.7", "198.51.100.8"]
    for table in (rows, "ip,tag\n" + rows):
        whole = parse(CsvFormat(), table.encode())
        assert [value for _, value in pairs(whole)] == expected
        lines = table.splitlines()
        reader = CsvFormat().reader(lines, {})
        result = reader.read(lines, range(1, len(lines) + 1))
        assert [indicator.value for indicator in result.indicators] == expected
