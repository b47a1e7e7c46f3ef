"""Reading a filter: from words to a tree, by recursive descent over CEL's grammar.

What CEL has and filters do not: `?:`, maps, indexes, messages, bytes, unsigned numbers, `*`, `/`,
`%`, and comparisons in a chain. Depth and nodes are bounded, so that no text costs much.
"""

from typing import Final, TypeVar

from shared.filters.errors import FilterError
from shared.filters.syntax import Binary, Call, ListOf, Literal, Node, Path, Unary
from shared.filters.tokens import Token, tokenize

MAX_DEPTH: Final = 32
MAX_NODES: Final = 500

_Part = TypeVar("_Part", bound=Node)

_MAX_NAMES: Final = 8
"""Of a field's path."""

_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_OTHER_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


def parse(text: str) -> Node:
    """Read a filter.

    Raises:
        FilterError: it does not follow the grammar, or is too long, deep or large.
    """
    reader = _Parser(text, tokenize(text))
    node = reader.disjunction()
    reader.expect_end()
    return node


class _Parser:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._nodes = 0

    def disjunction(self) -> Node:
        self._descend()
        node = self._conjunction()
        while (operator := self._accept("||")) is not None:
            node = self._counted(Binary("||", node, self._conjunction(), operator.position))
        self._depth -= 1
        return node

    def expect_end(self) -> None:
        token = self._tokens[self._next]
        if token.kind == "end":
            return
        if token.kind == "name" and (operator := _OTHER_WORDS.get(token.text)):
            raise self._error(f"Write {operator} for {token.text}.", token)
        raise self._error(f"A filter cannot go on with {token.text} here.", token)

    def _conjunction(self) -> Node:
        node = self._relation()
        while (operator := self._accept("&&")) is not None:
            node = self._counted(Binary("&&", node, self._relation(), operator.position))
        return node

    def _relation(self) -> Node:
        node = self._sum()
        token = self._tokens[self._next]
        if token.text not in _COMPARISONS and not self._is_in(token):
            return node
        self._next += 1
        node = self._counted(Binary(token.text, node, self._sum(), token.position))
        following = self._tokens[self._next]
        if following.text in _COMPARISONS or self._is_in(following):
            raise self._error("Comparisons in a chain need && between them.", following)
        return node

    def _is_in(self, token: Token) -> bool:
        return token.kind == "name" and token.text == "in"

    def _sum(self) -> Node:
        node = self._unary()
        depth = self._depth
        while (operator := self._accept("+") or self._accept("-")) is not None:
            self._descend()
            node = self._counted(Binary(operator.text, node, self._unary(), operator.position))
        self._depth = depth
        return node

    def _unary(self) -> Node:
        operator = self._accept("!") or self._accept("-")
        if operator is None:
            return self._member()
        self._descend()
        node = self._counted(Unary(operator.text, self._unary(), operator.position))
        self._depth -= 1
        return node

    def _member(self) -> Node:
        node = self._primary()
        depth = self._depth
        while self._accept(".") is not None:
            name = self._name()
            if self._accept("(") is not None:
                self._descend()
                node = self._counted(Call(name.text, node, self._arguments(")"), name.position))
            elif isinstance(node, Path) and len(node.names) < _MAX_NAMES:
                node = Path((*node.names, name.text), node.position)
            else:
                raise self._error(f"Only a field has a part such as {name.text}.", name)
        self._depth = depth
        if (bracket := self._accept("[")) is not None:
            raise self._error("Filters have no indexes; write `value in list`.", bracket)
        return node

    def _primary(self) -> Node:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind in ("text", "integer", "decimal") and token.value is not None:
            return self._counted(Literal(token.value, token.position, len(token.text)))
        if token.text == "(":
            node = self.disjunction()
            self._expect(")")
            return node
        if token.text == "[":
            return self._counted(ListOf(self._arguments("]"), token.position))
        if token.kind == "name":
            return self._named(token)
        self._next -= 1
        if token.kind == "end":
            raise self._error("The filter ends where a value or a condition is due.", token)
        raise self._error(f"A value or a condition is due before {token.text}.", token)

    def _named(self, token: Token) -> Node:
        if token.text in ("true", "false"):
            return self._counted(Literal(token.text == "true", token.position, len(token.text)))
        if token.text == "null":
            raise self._error("Write has(field) to know whether a field is there.", token)
        if token.text in _OTHER_WORDS:
            raise self._error(f"Write {_OTHER_WORDS[token.text]} for {token.text}.", token)
        if self._accept("(") is not None:
            return self._counted(Call(token.text, None, self._arguments(")"), token.position))
        return self._counted(Path((token.text,), token.position))

    def _arguments(self, end: str) -> tuple[Node, ...]:
        arguments: list[Node] = []
        if self._accept(end) is not None:
            return ()
        while True:
            arguments.append(self.disjunction())
            if self._accept(end) is not None:
                return tuple(arguments)
            self._expect(",", f"A comma or {end} is due here.")
            # As in CEL, a list may end with a comma.
            if end == "]" and self._accept(end) is not None:
                return tuple(arguments)

    def _name(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "name":
            raise self._error("A name is due after the dot.", token)
        self._next += 1
        return token

    def _accept(self, operator: str) -> Token | None:
        token = self._tokens[self._next]
        if token.kind != "operator" or token.text != operator:
            return None
        self._next += 1
        return token

    def _expect(self, operator: str, reason: str = "") -> None:
        if self._accept(operator) is None:
            token = self._tokens[self._next]
            raise self._error(reason or f"{operator} is due here.", token)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            reason = f"A filter is at most {MAX_DEPTH} levels deep."
            raise self._error(reason, self._tokens[self._next])

    def _counted(self, node: _Part) -> _Part:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise FilterError(
                f"A filter has at most {MAX_NODES} parts; put long lists into a watchlist.",
                self._text,
                node.position,
                node.length,
            )
        return node

    def _error(self, reason: str, token: Token) -> FilterError:
        return FilterError(reason, self._text, token.position, max(1, len(token.text)))
