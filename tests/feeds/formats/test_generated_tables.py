"""Generated tables: the right column, or a refusal with alternatives; never a wrong value.

`SENTINELIQ_TABLES` sets how many are generated. Each table has a value column at any place, up to
twelve columns that describe it, a header or none, one of five delimiters and of three encodings.
"""

import csv
import io
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from services.feeds.formats import format_named, guess_format
from shared.errors import InvalidInput

COUNT = int(os.environ.get("SENTINELIQ_TABLES", "200"))
DELIMITERS = (",", ";", "\t", "|", ", ")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
VALUE_HEADERS = {
    "ipv4": ("ip", "IP Address", "value", "ioc", "indicator", "attacker_ip", "host"),
    "domain": ("domain", "hostname", "ioc", "fqdn", "Indicator"),
    "url": ("url", "URL", "ioc_value", "malicious_url"),
    "md5": ("md5", "hash", "md5_hash"),
    "sha256": ("sha256", "SHA-256", "sha256_hash", "ioc"),
}
COUNTRIES = ("NL", "DE", "US", "BR", "CN", "")
WORDS = ("loader", "stealer", "scan", "brute", "force", "phishing", "kit", "seen", "at", "edge")


class Column(NamedTuple):
    """A column: its header and its cells."""

    header: str
    cells: list[str]


def value(chance: random.Random, kind: str) -> str:
    """An observable of a type."""
    number = chance.randrange(1 << 30)
    name = "".join(chance.choices("abcdefghijklmnop", k=9)) + chance.choice((".com", ".net", ".ru"))
    match kind:
        case "ipv4":
            return ".".join(map(str, (chance.randrange(11, 120), *number.to_bytes(4)[1:])))
        case "domain":
            return name
        case "url":
            return f"http://{name}/{number:x}.php"
        case "md5":
            return f"{chance.getrandbits(128):032x}"
    return f"{chance.getrandbits(256):064x}"


def description(chance: random.Random, rows: int) -> Column:
    """A column that describes the value."""
    number = chance.randrange(9)
    headers = (
        ("date", "first_seen", "Reported At"), ("country", "cc"), ("asn", "AS"), ("score", "count"),
        ("comment", "description"), ("reference", "link"), ("abuse_contact", "email"),
        ("port", "dport"), ("id", "#id"),
    )  # fmt: skip
    return Column(
        chance.choice(headers[number]), [DESCRIPTIONS[number](chance) for _ in range(rows)]
    )


DESCRIPTIONS: tuple[Callable[[random.Random], str], ...] = (
    lambda chance: f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02} 12:30:45",
    lambda chance: chance.choice(COUNTRIES),
    lambda chance: f"AS{chance.randrange(1, 65000)}",
    lambda chance: str(chance.randrange(100)),
    lambda chance: " ".join(chance.choices(WORDS, k=chance.randrange(1, 6))),
    lambda chance: f"https://intel.example.org/r/{chance.randrange(10**6)}",
    lambda chance: f"abuse@isp{chance.randrange(50)}.example.net",
    lambda chance: str(chance.randrange(1, 65535)),
    lambda chance: str(chance.randrange(10**6)),
)


def table(seed: int) -> tuple[bytes, set[str], str]:
    """A document, its values, and what it was made of."""
    chance = random.Random(seed)  # noqa: S311  # test data
    kind = chance.choice(list(VALUE_HEADERS))
    rows = chance.choice((1, 2, 3, 5, 20, 200, 5000) if seed % 20 == 0 else (1, 2, 3, 5, 20))
    values = [value(chance, kind) for _ in range(rows)]
    columns = [description(chance, rows) for _ in range(chance.randrange(13))]
    columns.insert(
        chance.randint(0, len(columns)), Column(chance.choice(VALUE_HEADERS[kind]), values)
    )
    has_header = chance.random() < 0.6
    delimiter = chance.choice(DELIMITERS)
    encoding = chance.choice(ENCODINGS)
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter[0], lineterminator="\n")
    if has_header:
        writer.writerow([column.header for column in columns])
    writer.writerows(zip(*(column.cells for column in columns), strict=True))
    text = sink.getvalue()
    if delimiter == ", ":
        text = text.replace(",", ", ")
    made_of = f"seed {seed}: {kind}, {len(columns)} columns, {rows} rows, {delimiter!r}, {encoding}"
    return text.encode(encoding), set(values), made_of


def outcome(seed: int) -> tuple[str, str]:
    """right, refused, told (the wrong column with a note about the right one), or wrong."""
    document, values, made_of = table(seed)
    try:
        name, _ = guess_format("list.txt", document[:65536])
        batches = list(format_named(name).parse(io.BytesIO(document), {}))
    except InvalidInput as refusal:
        return "refused", f"{made_of}: {refusal.message}"
    values_read = {indicator.value for batch in batches for indicator in batch.indicators}
    if values_read == values:
        return "right", made_of
    notes = [note for batch in batches for note in batch.notes]
    return "wrong", f"{made_of}: {name}: {sorted(values_read - values)[:3]} {notes}"


def test_the_right_column_or_a_refusal() -> None:
    outcomes = [outcome(seed) for seed in range(COUNT)]
    counts = Counter(kind for kind, _ in outcomes)
    wrong = [details for kind, details in outcomes if kind == "wrong"]
    assert not wrong, wrong[:10]
    # One row without a header and with several links does not tell which of them is meant.
    refused = [
        details for kind, details in outcomes if kind == "refused" and ", 1 rows," not in details
    ]
    assert len(refused) <= 0.01 * COUNT, refused[:10]
    assert counts["right"] >= 0.9 * COUNT
