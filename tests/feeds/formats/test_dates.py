"""Nothing gets younger than its document: what every format makes of the dates that it states."""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from services.feeds.formats.registry import format_named, guess_format
from services.observables.scoring.inputs import evaluate
from services.observables.store.chunks import Batch, read_chunk
from services.observables.store.plan import AssertingSource
from shared.documents.pdf import newest_date
from shared.events import FeedRef
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.timestamps import parse_timestamp
from tests.feeds.formats.contract import parse
from tests.feeds.formats.test_pdf import pdf
from tests.feeds.formats.test_spreadsheet import workbook

VALUE: Final = "45.33.32.156"
STATED: Final = "2016-05-01T10:00:00Z"
NOW: Final = datetime(2026, 11, 30, tzinfo=UTC)
DATA: Final = Path(
    os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[4] / "shared" / "data")
)
REPORT: Final = f"It calls {VALUE}."


def stix(**properties: Any) -> bytes:
    pattern = f"[ipv4-addr:value = '{VALUE}']"
    indicator = {"type": "indicator", "id": "indicator--1", "pattern": pattern, **properties}
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": [indicator]}).encode()


def misp(event: dict[str, Any], **properties: Any) -> bytes:
    attribute = {"type": "ip-dst", "value": VALUE, "to_ids": True, **properties}
    return json.dumps({"Event": {"info": "x", **event, "Attribute": [attribute]}}).encode()


def rss(date: str) -> bytes:
    item = f"<item><title>x</title>{date}<description>{REPORT}</description></item>"
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>'
    return f"{head}{item}</channel></rss>".encode()


def html(meta: str) -> bytes:
    return f"<html><head>{meta}</head><body><p>{REPORT}</p></body></html>".encode()


EPOCH: Final = str(int(parse_timestamp(STATED).timestamp()))
MAIL_DATE: Final = "Sun, 01 May 2016 10:00:00 GMT"
DOCUMENTS: Final[dict[str, bytes]] = {
    "csv last_seen": f"ip,last_seen\n{VALUE},{STATED}\n".encode(),
    "csv first and last": f"ip,first_seen,last_seen\n{VALUE},2015-01-01,{STATED}\n".encode(),
    "json last_seen": json.dumps([{"ip": VALUE, "last_seen": STATED}]).encode(),
    "xml last_seen": f"<l><e><ip>{VALUE}</ip><last_seen>{STATED}</last_seen></e></l>".encode(),
    "spreadsheet last_seen": workbook(addresses=[("ip", "last_seen"), (VALUE, STATED)]),
    "stix valid_from": stix(valid_from=STATED),
    "stix modified": stix(valid_from="2015-01-01T00:00:00Z", modified=STATED),
    "stix created": stix(created=STATED),
    "misp event": misp({"date": "2016-05-01"}),
    "misp timestamp": misp({"date": "2016-01-01"}, timestamp=EPOCH),
    "misp last_seen": misp({}, last_seen=STATED),
    "rss published": rss(f"<pubDate>{MAIL_DATE}</pubDate>"),
    "html published": html(f'<meta property="article:published_time" content="{STATED}">'),
    "html modified": html(
        '<meta property="article:published_time" content="2015-01-01">'
        f'<meta property="article:modified_time" content="{STATED}">'
    ),
    "html date": html(f'<meta name="date" content="{STATED}">'),
    "pdf made": pdf([REPORT], info="/CreationDate (D:20160501120000+02'00')"),
    "pdf changed": pdf([REPORT], info="/CreationDate (D:2015) /ModDate (D:20160501100000Z)"),
}
ONCE_ONLY: Final[dict[str, bytes]] = {
    "csv first_seen": f"ip,first_seen\n{VALUE},{STATED}\n".encode(),
    "json first_seen": json.dumps([{"ip": VALUE, "first_seen": STATED}]).encode(),
    "xml first_seen": f"<l><e><ip>{VALUE}</ip><first_seen>{STATED}</first_seen></e></l>".encode(),
    "spreadsheet first_seen": workbook(addresses=[("ip", "first_seen"), (VALUE, STATED)]),
}
"""They tell since when something is listed: a list vouches for it all the same, a stream does not.
"""


def format_of(case: str) -> str:
    return case.partition(" ")[0]


def stored(content: bytes, format_: str, kind: str) -> tuple[datetime | None, int]:
    """Until when a feed saw what a document names, and its score today."""
    (item,) = parse(format_named(format_), content).indicators
    indicator = Indicator(
        item.type, item.value, first_seen=item.first_seen, last_seen=item.last_seen
    )
    feed = FeedRef(UUID(int=1), "feed", 80, kind=kind)
    chunk = IndicatorsObserved(
        feed, UUID(int=2), 0, 0, NOW.isoformat(), 90, ("c2",), [indicator], []
    )
    source = AssertingSource(str(feed.id), "feed", 80, NOW, kind, tenant="acme")
    batch = Batch(source, {}, {}, {}, set(), {})
    assert read_chunk(chunk, 0, batch, lambda *_: ()) == []
    (assertion,) = batch.asserted.values()
    row = source.stored(assertion.data)
    return row.last_seen, evaluate("ipv4-addr", [row], (), (), NOW).score


@pytest.mark.parametrize("kind", ["stream", "snapshot"])
@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_value_is_as_old_as_the_newest_date_of_its_document(case: str, kind: str) -> None:
    seen, score = stored(DOCUMENTS[case], format_of(case), kind)
    assert seen is not None
    assert seen <= parse_timestamp(STATED)
    assert seen >= parse_timestamp("2016-05-01T00:00:00Z")
    assert score == 0


@pytest.mark.parametrize("case", ONCE_ONLY)
def test_a_stream_has_not_seen_since_what_it_saw_first(case: str) -> None:
    assert stored(ONCE_ONLY[case], format_of(case), "stream") == (parse_timestamp(STATED), 0)


@pytest.mark.parametrize("case", DOCUMENTS | ONCE_ONLY)
def test_a_date_in_the_future_makes_nothing_younger_than_the_run(case: str) -> None:
    newer = re.sub(rb"201[56]", b"2031", DOCUMENTS.get(case, b"") or ONCE_ONLY[case])
    if format_of(case) == "spreadsheet":
        newer = workbook(
            addresses=[("ip", case.rpartition(" ")[2]), (VALUE, "2031-05-01T10:00:00Z")]
        )
    newer = newer.replace(EPOCH.encode(), b"1935568800")
    items = parse(format_named(format_of(case)), newer).indicators
    if not items:  # an indicator of STIX that is not valid yet
        assert case in {"stix valid_from", "stix modified"}
        return
    seen, _ = stored(newer, format_of(case), "stream")
    assert seen is not None
    assert seen <= NOW


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("D:20160501", "2016-05-01T00:00:00Z"),
        ("D:20160501235959-08'00'", "2016-05-02T07:59:59Z"),
        ("2016", "2016-01-01T00:00:00Z"),
        ("D:20161399", None),
        ("D:00000101", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_date_of_a_pdf(text: str, date: str | None) -> None:
    assert newest_date(pdf(["x"], info=f"/CreationDate ({text})")) == date


def _newest_year(content: bytes) -> int:
    return max(int(year) for year in re.findall(rb"\b(20[0-2][0-9])-[01][0-9]-[0-3][0-9]", content))


DATED: Final[dict[str, Callable[[bytes], int]]] = {
    "misp-event-ebury.json": _newest_year,
    "misp-event-winter-vivern.json": _newest_year,
    "stix21-poison-ivy.json": _newest_year,
}
PRESENT: Final = [name for name in DATED if (DATA / name).exists()]

# A fresh clone has none of them: then there is no such test, rather than a skipped one.
if PRESENT:

    @pytest.mark.parametrize("name", PRESENT)
    def test_nothing_in_a_published_document_is_younger_than_it(name: str) -> None:
        content = (DATA / name).read_bytes()
        format_ = guess_format(name, content)[0]
        items = parse(format_named(format_), content).indicators
        assert items
        limit = f"{DATED[name](content)}-12-31T23:59:59Z"
        assert [item for item in items if not item.last_seen or item.last_seen > limit] == []
