"""The tree of a filter as it is written, before anybody knows what its names mean."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, true or false."""

    value: str | int | float | bool
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Path:
    """Names with dots between them, such as `observable.type`."""

    names: tuple[str, ...]
    position: int

    @property
    def text(self) -> str:
        """As it is written."""
        return ".".join(self.names)

    @property
    def length(self) -> int:
        """Characters."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class ListOf:
    """Literals in brackets."""

    items: "tuple[Node, ...]"
    position: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a function of a value: `size(a)`, `a.startsWith("b")`."""

    function: str
    subject: "Node | None"
    arguments: "tuple[Node, ...]"
    position: int

    @property
    def length(self) -> int:
        """Characters of the function's name."""
        return len(self.function)


@dataclass(frozen=True, slots=True)
class Unary:
    """`!a` or `-a`."""

    operator: str
    operand: "Node"
    position: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands with an operator between them, whose place is the node's."""

    operator: str
    left: "Node"
    right: "Node"
    position: int

    @property
    def length(self) -> int:
        """Characters of the operator."""
        return len(self.operator)


Node = Literal | Path | ListOf | Call | Unary | Binary
