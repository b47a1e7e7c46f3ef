"""XML documents: their repeated elements are items, read like those of a JSON document."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.feeds.formats.base import (
    AmbiguousDocument,
    MalformedDocument,
    ParsedBatch,
    batched,
    read_options,
)
from services.feeds.formats.json import JsonOptions, document_items
from services.feeds.formats.streams import read_text_document

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_DEPTH: Final = 64
# Such texts are UTF-8 here already, whatever the declaration says, and many were so from the first.
_WIDE_ENCODING: Final = re.compile(
    rb"""(<\?xml[^<>]{1,100}?)\sencoding\s{0,9}=\s{0,9}"""
    rb"""["'](?:utf|ucs)-?(?:16|32|2|4)(?:[bl]e)?["']""",
    re.IGNORECASE,
)


class XmlFormat:
    """XML, as an object whose properties are its elements and attributes.

    An element of text alone is that text, one with attributes or elements is an object; elements
    of one name beside each other are a list. Attributes have the names of elements, and stand with
    them in one list. The text of an element with attributes or elements is its property `text`, a
    list if elements divide it. Names lose their namespaces. The options are those of JSON
    (`JsonOptions`), without `lines`.
    """

    name: ClassVar[str] = "xml"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("application/xml", "text/xml", ".xml")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        xml_options = read_options(JsonOptions, options)
        root = _parse(read_text_document(stream))
        document = {_local_name(root.tag): _value(root, 1)}
        try:
            yield from batched(document_items(document, xml_options))
        except AmbiguousDocument as doubt:
            alternatives = [{**choice, "format": self.name} for choice in doubt.alternatives]
            message = doubt.message.removeprefix(f"{doubt.where}: ")
            raise AmbiguousDocument(message, doubt.where, alternatives) from None


def _parse(data: bytes) -> Element:
    if len(data) > _MAX_BYTES:
        raise MalformedDocument(f"larger than {_MAX_BYTES} bytes, the limit of an XML document")
    if declared := _WIDE_ENCODING.match(data):
        data = declared[1] + data[declared.end() :]
    try:
        root: Element = fromstring(data, forbid_dtd=False)
    except ParseError as problem:
        line, column = problem.position
        raise MalformedDocument(
            f"the XML is malformed: {problem.msg}", f"line {line}, column {column + 1}"
        ) from None
    except DefusedXmlException:
        raise MalformedDocument("the XML declares entities, which may be a bomb") from None
    except (LookupError, ValueError) as problem:  # an encoding that is none
        raise MalformedDocument(f"the XML cannot be decoded: {problem}") from None
    return root


def _value(element: Element, depth: int) -> Any:
    """An element as JSON has it."""
    if depth > _MAX_DEPTH:
        raise MalformedDocument("nested too deeply")
    texts = [text for text in _own_texts(element) if text]
    if not len(element) and not element.attrib:
        return texts[0] if texts else ""
    values: dict[str, list[Any]] = {}
    for name, text in element.attrib.items():
        values.setdefault(_local_name(name), []).append(text)
    if texts:
        values.setdefault("text", []).extend(texts)
    for child in element:
        if isinstance(child.tag, str):  # a comment has none
            values.setdefault(_local_name(child.tag), []).append(_value(child, depth + 1))
    return {name: _joined(entries) for name, entries in values.items()}


def _own_texts(element: Element) -> Iterator[str]:
    """The texts of an element between its children."""
    yield (element.text or "").strip()
    for child in element:
        yield (child.tail or "").strip()


def _joined(entries: list[Any]) -> Any:
    """The values of one name: one by itself, several as a list of texts or one of objects."""
    if len(entries) == 1:
        return entries[0]
    if any(isinstance(entry, dict) for entry in entries):
        return [entry if isinstance(entry, dict) else {"text": entry} for entry in entries]
    return entries


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]
