"""Documents as feeds may send them, with the number of units that their maker put into them."""

import json
import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple

GENERATED = int(os.environ.get("SENTINELIQ_GENERATED_DOCUMENTS", "300"))
"""Documents that a test generates."""


class GeneratedDocument(NamedTuple):
    """A document.

    Attributes:
        format: its format.
        options: of the format.
        data: its bytes.
        units: of the format's unit, None where reading alone can count them.
    """

    format: str
    options: dict[str, Any]
    data: bytes
    units: int | None


def generate(seed: int) -> GeneratedDocument:
    """The document of a number; the same each time."""
    source = random.Random(seed)  # noqa: S311  # no secret
    return source.choice(_MAKERS)(source)


def _value(source: random.Random) -> str:
    return source.choice(
        [
            f"198.51.{source.randrange(3)}.{source.randrange(300)}",
            f"host{source.randrange(40)}.example.com",
            f"http://host{source.randrange(40)}.example.net/{source.randrange(9)}",
            f"203.0.113.0/{source.randrange(8, 36)}",
            f"{source.getrandbits(128):032x}",
            "no observable",
            "localhost",
            "",
            "\x00",
            "192.0.2.1|192.0.2.2",
            f"2001:db8::{source.randrange(99):x}",
        ]
    )


def _lines(source: random.Random, choices: list[Callable[[], str]]) -> tuple[bytes, int]:
    lines = [source.choice(choices)() for _ in range(source.randrange(1, 60))]
    end = source.choice(["\n", "\r\n"])
    text = (end.join(lines) + source.choice(["", end])) or end
    return text.encode(), text.removesuffix("\n").count("\n") + 1


_STYLES: dict[str | None, list[str]] = {
    None: ["# {}", "; {}", "", "  ", "{}", "{}", "{}", "{} {}", "{},x", "0.0.0.0 {}", "<{}>"],
    "hosts": [
        "127.0.0.1 {}",
        "0.0.0.0 {}",
        "127.0.0.1 localhost",
        "192.0.2.5 nas {}",
        "# {}",
        "{}",
    ],
    "adblock": ["||{}^", "@@||{}^", "##.ad", "{}##div", "[Adblock Plus]", "! {}", "/{}/", "{}", ""],
    "dnsmasq": ["address=/{}/0.0.0.0", "cache-size=5", "server=/{}/", "no-hosts", "{}", "# x"],
    "rpz": ["{} CNAME .", "$TTL 60", "{} CNAME rpz-passthru.", "@ IN NS a.", "; x", "{}", "1 ; s"],
    "ranges": ["{}-{}", "{} - {}", "name:{}-{}", "{} {}", "{}", "#", "203.0.113.4-203.0.113.9"],
}


def _list(source: random.Random) -> GeneratedDocument:
    style = source.choice(list(_STYLES))
    templates = _STYLES[style]

    def line() -> str:
        return source.choice(templates).format(_value(source), _value(source))

    options: dict[str, Any] = {"style": style or "plain"}
    if source.random() < 0.1:
        options = {"column": source.randrange(3)}
    elif source.random() < 0.1:
        options = {"style": "pairs", "key": "ip"}
        templates = ["ip={} x=1", "x=2 y={}", "ip= ip={}", ""]
    data, units = _lines(source, [line])
    return GeneratedDocument("text", options, data, units)


def _table(source: random.Random) -> GeneratedDocument:
    width = source.randrange(1, 5)
    quotes = source.random() < 0.3

    def cell() -> str:
        value = _value(source)
        if quotes and source.random() < 0.3:
            return source.choice([f'"{value}"', f'"{value}', f'"{value},x"', f'{value}"'])
        return value

    def row() -> str:
        return ",".join(cell() for _ in range(source.choice([width, width, width, 1, 5])))

    choices = [row, row, row, lambda: "# note", lambda: "", lambda: " "]
    data, units = _lines(source, choices)
    values: Any = source.randrange(width)
    if source.random() < 0.4:
        values = sorted({values, source.randrange(width)})
    options: dict[str, Any] = {"columns": {"value": values}, "delimiter": ","}
    options["header"] = source.random() < 0.5
    if source.random() < 0.2:
        options["split"] = {"0": "|"}
    return GeneratedDocument("csv", options, data, units)


def _item(source: random.Random) -> Any:
    return source.choice(
        [
            {"value": _value(source)},
            {"value": [_value(source), _value(source)]},
            {"other": _value(source)},
            {"value": None},
            _value(source),
            source.randrange(9),
            None,
        ]
    )


def _json(source: random.Random) -> GeneratedDocument:
    items = [_item(source) for _ in range(source.randrange(30))]
    data = json.dumps({"data": items}).encode()
    return GeneratedDocument("json", {"items": "data", "value": "value"}, data, len(items))


def _json_lines(source: random.Random) -> GeneratedDocument:
    choices = [lambda: json.dumps(_item(source)), lambda: "", lambda: '{"value":']
    data, units = _lines(source, choices)
    return GeneratedDocument("json", {"lines": True, "value": "value"}, data, units)


def _xml(source: random.Random) -> GeneratedDocument:
    values = [_value(source).replace("\x00", "") for _ in range(source.randrange(2, 20))]
    rows = [
        f"<row><{'ip' if number % 5 else 'x'}>{value}</{'ip' if number % 5 else 'x'}></row>"
        for number, value in enumerate(values)
    ]
    data = f"<list>{''.join(rows)}</list>".encode()
    return GeneratedDocument("xml", {"items": "list.row", "value": "ip"}, data, len(rows))


def _attribute(source: random.Random) -> Any:
    kinds = ["ip-dst", "domain|ip", "filename|md5", "text", "url", "md5", "comment", "text|md5"]
    return source.choice(
        [
            {"type": source.choice(kinds), "value": _value(source), "to_ids": True},
            {"type": source.choice(kinds), "value": _value(source), "to_ids": False},
            {"type": source.choice(kinds), "value": _value(source), "deleted": True},
            {"type": source.choice(kinds), "value": 5},
            {"value": _value(source)},
            {"type": 7},
        ]
    )


def _attributes(source: random.Random) -> list[Any]:
    return [_attribute(source) for _ in range(source.randrange(1, 8))]


def _misp(source: random.Random) -> GeneratedDocument:
    events = []
    units = 0
    for _ in range(source.randrange(1, 4)):
        groups = [_attributes(source) for _ in range(source.randrange(1, 4))]
        units += sum(map(len, groups))
        objects = [{"deleted": source.random() < 0.2, "Attribute": group} for group in groups[1:]]
        events.append({"Event": {"info": "x", "Attribute": groups[0], "Object": objects}})
    return GeneratedDocument("misp", {}, json.dumps({"response": events}).encode(), units)


def _stix_object(source: random.Random, number: int) -> Any:
    value = _value(source)
    quoted = value.replace("'", "")
    pattern = source.choice(
        [
            f"[domain-name:value = '{quoted}']",
            f"[ipv4-addr:value = '{quoted}' OR url:value = '{quoted}']",
            "[file:size = 3]",
            f"[file:name = 'a.exe' AND file:hashes.MD5 = '{quoted}']",
            "[broken",
        ]
    )
    revoked = source.random() < 0.1
    of_type = {"id": f"x--{number - source.randrange(2)}", "revoked": revoked}
    return source.choice(
        [
            {"type": "indicator", "pattern": pattern, **of_type},
            {"type": "indicator", "pattern": "rule x {}", "pattern_type": "yara", **of_type},
            {"type": "domain-name", "value": value, **of_type},
            {"type": "file", "hashes": {"MD5": value, "x": "y"}, **of_type},
            {"type": "observed-data", "objects": {"0": {"type": "url", "value": value}}, **of_type},
            {"type": "observed-data", "objects": {"0": {"type": "process"}, "1": 5}, **of_type},
            {"type": "observed-data", "objects": {}, **of_type},
            {"type": "malware", "name": value, "modified": "2026-01-01T00:00:00Z", **of_type},
            {"type": "relationship", **of_type},
            {"kind": value},
        ]
    )


def _stix(source: random.Random) -> GeneratedDocument:
    objects = [_stix_object(source, number) for number in range(source.randrange(30))]
    data = json.dumps({"type": "bundle", "objects": objects}).encode()
    return GeneratedDocument("stix", {}, data, len(objects))


def _prose(source: random.Random) -> GeneratedDocument:
    words = ["seen", "at", "T1059", "\n", "and"]
    text = " ".join(
        source.choice([source.choice(words), _value(source)])
        for _ in range(source.randrange(1, 80))
    )
    options = source.choice([{}, {"types": ["domain-name"]}])
    if source.random() < 0.5:
        return GeneratedDocument("report", options, f"x {text}".encode(), None)
    page = f'<html><link rel="canonical" href="http://host1.example.net/"><p>{text}</p></html>'
    return GeneratedDocument("html", options, page.encode(), None)


_MAKERS = [_list, _list, _table, _table, _json, _json_lines, _xml, _misp, _stix, _prose]
