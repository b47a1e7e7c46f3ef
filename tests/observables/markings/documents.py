"""Documents of every format that mark one address, with every marking that the format can state."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from tests.feeds.formats.test_markings import TLP_1, TLP_2
from tests.feeds.formats.test_pdf import pdf
from tests.feeds.formats.test_spreadsheet import workbook

LABELS: Final[dict[str, str]] = {
    "TLP:WHITE": "clear",
    "TLP:CLEAR": "clear",
    "TLP:GREEN": "green",
    "TLP:AMBER": "amber",
    "TLP:AMBER+STRICT": "amber+strict",
    "TLP:RED": "red",
    "TLP:MAUVE": "closed",
    "PAP:AMBER": "clear",
    "PAP:RED": "closed",
}
"""Labels as people and programs write them, and the markings that they state."""

_DEFINITIONS: Final[dict[str, tuple[str, list[dict[str, Any]]]]] = {
    **{f"TLP 1 {level}": (level, []) for level in TLP_1},
    **{f"TLP 2 {level}": (level, []) for level in TLP_2},
    "nowhere defined": ("closed", []),
    "empty definition": ("closed", [{}]),
    "PAP:RED by its name": ("closed", [{"name": "PAP:RED"}]),
    "PAP by its type": ("closed", [{"definition_type": "pap", "definition": {"pap": "red"}}]),
    "a policy": ("closed", [{"definition_type": "iep", "definition": {"x": 1}}]),
    "a statement": (
        "clear",
        [{"definition_type": "statement", "definition": {"statement": "Copyright 2026"}}],
    ),
}
_OWN: Final = "marking-definition--0b9f1c52-9d05-4b3a-9d6c-0c1d3c8f1a11"


class MarkedDocument(NamedTuple):
    """A document that names one address.

    Attributes:
        case: what it shows, unique among all.
        format: its format, and what it needs to be read.
        marking: the level that binds the address; `clear` where it is bound by none.
    """

    case: str
    format: str
    options: dict[str, Any]
    content: bytes
    value: str
    marking: str


_Write = Callable[[str, str], tuple[bytes, dict[str, Any]]]


def _csv(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    return f"ip,tags\n{value},c2;{label}\n".encode(), {"columns": {"value": "ip", "tags": "tags"}}


def _csv_column(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    scheme, level = label.split(":")
    return f"ip,{scheme.lower()}\n{value},{level}\n".encode(), {}


def _json(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    items = [{"ip": value, "tags": ["c2", label]}]
    return json.dumps(items).encode(), {"items": "[*]", "value": "ip", "tags": "tags"}


def _json_property(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    scheme, level = label.split(":")
    return json.dumps([{"ip": value, scheme.lower(): level}]).encode(), {}


def _xml(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    scheme, level = label.lower().split(":")
    entry = f"<entry><ip>{value}</ip><{scheme}>{level}</{scheme}></entry>"
    return f"<list>{entry}</list>".encode(), {}


def _spreadsheet(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    scheme, level = label.split(":")
    return workbook(addresses=[("ip", scheme), (value, level)]), {}


def _misp_attribute(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    attribute = {"type": "ip-dst", "value": value, "to_ids": True, "Tag": [{"name": label}]}
    return json.dumps({"Event": {"info": "x", "Attribute": [attribute]}}).encode(), {}


def _misp_event(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    attribute = {"type": "ip-dst", "value": value, "to_ids": True}
    event = {"info": "x", "Tag": [{"name": label.lower()}], "Attribute": [attribute]}
    return json.dumps({"Event": event}).encode(), {}


def _stix_label(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    return _bundle(_indicator(value, labels=[label])), {}


def _html(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    return f"<html><body><p>{label}</p><p>It calls {value}.</p></body></html>".encode(), {}


def _report(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    return f"{label}\n\nIt calls {value}.\n".encode(), {}


def _pdf(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    return pdf([label], [f"It calls {value}."]), {}


def _rss_title(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    item = f"<item><title>{label}</title><description>It calls {value}.</description></item>"
    return _channel(item), {}


def _rss_body(value: str, label: str) -> tuple[bytes, dict[str, Any]]:
    item = f"<item><title>New</title><description>{label} It calls {value}.</description></item>"
    return _channel(item), {}


def _channel(item: str) -> bytes:
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>'
    return f"{head}{item}</channel></rss>".encode()


_WRITERS: Final[dict[str, _Write]] = {
    "csv tag": _csv,
    "csv column": _csv_column,
    "json tag": _json,
    "json property": _json_property,
    "xml element": _xml,
    "spreadsheet column": _spreadsheet,
    "misp attribute": _misp_attribute,
    "misp event": _misp_event,
    "stix label": _stix_label,
    "html label": _html,
    "report label": _report,
    "pdf label": _pdf,
    "rss title": _rss_title,
    "rss body": _rss_body,
}


def _bundle(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)}).encode()


def _indicator(value: str, **properties: Any) -> dict[str, Any]:
    pattern = f"[ipv4-addr:value = '{value}']"
    return {"type": "indicator", "id": f"indicator--{value}", "pattern": pattern, **properties}


def _stix_documents() -> Iterator[tuple[str, str, Callable[[str], bytes]]]:
    """Case, marking, and what writes the document, of each way to mark in STIX."""
    for name, (marking, defined) in _DEFINITIONS.items():
        levels = {"TLP 1": TLP_1, "TLP 2": TLP_2}.get(name[:5])
        ref = f"marking-definition--{levels[marking]}" if levels else _OWN
        definitions = [{"type": "marking-definition", "id": _OWN, **each} for each in defined]

        def whole(
            value: str, ref: str = ref, definitions: list[dict[str, Any]] = definitions
        ) -> bytes:
            return _bundle(*definitions, _indicator(value, object_marking_refs=[ref]))

        def part(
            value: str, ref: str = ref, definitions: list[dict[str, Any]] = definitions
        ) -> bytes:
            granular = [{"marking_ref": ref, "selectors": ["pattern"]}]
            return _bundle(*definitions, _indicator(value, granular_markings=granular))

        yield f"stix object, {name}", marking, whole
        yield f"stix part, {name}", marking, part


def marked_documents() -> list[MarkedDocument]:
    """All of them; each has an address of its own."""
    documents: list[MarkedDocument] = []
    for name, write in _WRITERS.items():
        for label, marking in LABELS.items():
            value = _address(len(documents))
            content, options = write(value, label)
            case = f"{name}, {label}"
            format_ = name.split()[0]
            documents.append(MarkedDocument(case, format_, options, content, value, marking))
    for case, marking, write_stix in _stix_documents():
        value = _address(len(documents))
        documents.append(MarkedDocument(case, "stix", {}, write_stix(value), value, marking))
    return documents


def _address(number: int) -> str:
    return f"45.33.{number // 200}.{number % 200 + 1}"
