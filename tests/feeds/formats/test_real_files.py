"""Files as their makers published them; a fresh clone has none, and collects no test here."""

import os
from collections import Counter
from pathlib import Path

import pytest

from services.feeds.formats import format_named, guess_format
from tests.feeds.formats.contract import check, parse

DATA = Path(os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[4] / "shared" / "data"))

# file, format, options, distinct records by type, dropped by reason
EXPECTED = [
    ("ipsum.txt", "text", {}, {"ipv4-addr": 120_430}, {}),
    (
        "maltrail-emotet.txt",
        "text",
        {},
        {"ipv4-addr": 3027, "domain-name": 231, "url": 4781},
        {"path without a host": 4737},
    ),
    (
        "maltrail-elf-mirai.txt",
        "text",
        {},
        {"ipv4-addr": 7370, "domain-name": 4167, "url": 1831},
        # An onion address whose checksum is wrong is malformed.
        {"path without a host": 37_611, "not a public suffix": 5, "malformed domain name": 1},
    ),
    ("aptnotes.csv", "csv", {}, {"file-sha1": 687}, {}),
    (
        "aptnotes.csv",
        "csv",
        {"columns": {"value": "SHA-1"}, "type": "file-sha1"},
        {"file-sha1": 687},
        {},
    ),
    (
        "misp-event-ebury.json",
        "misp",
        {},
        {"file-md5": 58, "file-sha1": 58, "file-sha256": 58, "domain-name": 5},
        {"not for detection": 222, "unsupported type": 19},
    ),
    (
        "misp-event-winter-vivern.json",
        "misp",
        {},
        {"file-md5": 1, "file-sha1": 1, "file-sha256": 1, "email-addr": 1, "url": 2},
        {"not for detection": 16, "unsupported type": 2},
    ),
    (
        "stix21-poison-ivy.json",
        "stix",
        {},
        {"ipv4-addr": 18, "domain-name": 24, "file-name": 2, "vulnerability": 6},
        {"not an indicator": 124, "malformed domain name": 1},
    ),
    ("attack-ics-18.1.json", "stix", {}, {}, {"not an indicator": 1826}),
]


FOUND = [case for case in EXPECTED if DATA.joinpath(case[0]).exists()]

# A fresh clone has none of them: then there is no such test, rather than a skipped one.
if FOUND:

    @pytest.mark.parametrize(("file", "name", "options", "records", "reasons"), FOUND)
    def test_real_file(file, name, options, records, reasons):
        data = DATA.joinpath(file).read_bytes()
        assert guess_format(file, data)[0] == name
        whole = parse(format_named(name), data, **options)
        check(whole)
        distinct = {(str(record.type), record.value) for record in whole.indicators}
        assert Counter(kind for kind, _ in distinct) == records
        assert Counter(piece.reason for piece in whole.dropped) == reasons
