"""A second reader of STIX patterns: the parser of `stix2-patterns`, which OASIS maintains."""

import re
from base64 import b64decode
from typing import Any

from stix2patterns.exceptions import ParseException
from stix2patterns.v21.pattern import Pattern

UNREAD = {"process:pid", "network-traffic:extensions.'http-request-ext'.request_value"}
"""Paths in generated patterns whose values are no observables."""

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
    is_conjunction = kind.endswith("ExpressionAndContext") and len(node.children) > 1
    if is_conjunction and {path for path, _, _ in values} - UNREAD - {"file:name"}:
        return [(path, text, flag or path == "file:name") for path, text, flag in values]
    return values


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
