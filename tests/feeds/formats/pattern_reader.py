"""A second reader of STIX patterns: the parser of `stix2-patterns`, which OASIS maintains."""

import re
from base64 import b64decode
from typing import Any

from stix2patterns.exceptions import ParseException
from stix2patterns.v21.pattern import Pattern

IDENTIFYING = re.compile(
    r"(?:domain-name|hostname|url|email-addr|mac-addr|ipv[46]-addr):value|autonomous-system:number"
    r"|mutex:name|vulnerability:name|[a-z0-9-]+:hashes\..+"
)
"""Paths whose value makes an object what it is."""

Value = tuple[str, str, bool]
"""Path, constant, and whether it only describes another value."""


class ReferenceTree(Pattern):
    """A pattern as the reference parses it."""

    def values(self) -> list[Value]:
        """Its values, in their order."""
        tree = self._Pattern__do_parse(str(self.text))
        return read_node(tree)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def read_values(pattern: str) -> list[Value]:
    """The values of a pattern; none if the reference refuses it."""
    try:
        return ReferenceTree(pattern).values()
    except ParseException:
        return []


def read_node(node: Any) -> list[Value]:
    """The values below a node of the reference's tree."""
    kind = type(node).__name__
    if kind == "PropTestEqualContext":
        return [read_constant(node, node.primitiveLiteral())]
    if kind == "PropTestSetContext":
        return [read_constant(node, literal) for literal in node.setLiteral().primitiveLiteral()]
    if kind == "PropTestIsSubsetContext":
        return [(node.objectPath().getText(), node.StringLiteral().getText()[1:-1], False)]
    values = [value for child in getattr(node, "children", ()) for value in read_node(child)]
    if not kind.endswith("ExpressionAndContext") or len(node.children) < 2:
        return values
    is_single = kind.startswith("Comparison")
    return [
        (path, text, flag or not implies_all((path, text), values, is_single))
        for path, text, flag in values
    ]


def implies_all(value: tuple[str, str], others: list[Value], is_single: bool) -> bool:
    """Whether an object with a value satisfies all parts of a conjunction."""
    return all(implies(value, other, is_single) for other in others)


def implies(value: tuple[str, str], other: Value, is_single: bool) -> bool:
    """Whether an object with a value satisfies another part of a conjunction as well."""
    path, text = value
    other_path, other_text, _ = other
    if path == other_path:
        return text == other_text
    if path == "url:value" and other_path in ("domain-name:value", "ipv4-addr:value"):
        host = re.match(r".*?://(?:[^/?]*@)?([^/?:@]*)", text, re.DOTALL)
        return host is not None and host[1] != "" and host[1].lower() == other_text.lower()
    same_object = path.split(":")[0] == other_path.split(":")[0]
    is_type = path.endswith("_ref.value") and other_path == path.removesuffix("value") + "type"
    return is_single and (is_type or (same_object and IDENTIFYING.fullmatch(path) is not None))


def read_constant(test: Any, literal: Any) -> Value:
    """A comparison's path and one of its constants."""
    text = literal.getText()
    if text.startswith("'"):
        text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    elif text.startswith("h'"):
        text = text[2:-1].lower()
    elif text.startswith("b'"):
        text = b64decode(text[2:-1]).hex()
    elif text.startswith("t'"):
        text = text[2:-1]
    return test.objectPath().getText(), text, False
