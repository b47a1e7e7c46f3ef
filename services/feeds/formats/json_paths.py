"""JMESPath expressions of a feed's options, with a bound on what they make of a document."""

from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from shared.errors import InvalidInput

MAX_ELEMENTS: Final = 10_000_000
"""Elements of all lists that one evaluation makes."""


class JsonPath:
    """An expression.

    Args:
        text: in JMESPath.
        option: the option that it comes from.

    Attributes:
        text: in JMESPath.

    Raises:
        InvalidInput: it is no expression.
    """

    def __init__(self, text: str, option: str) -> None:
        self._option = option
        self.text = text
        try:
            self._parsed = jmespath.compile(text).parsed
            # Most expressions name one property, which needs no interpreter.
            is_name = self._parsed["type"] == "field"
            self._name: str | None = self._parsed["value"] if is_name else None
        except JMESPathError as problem:
            summary = str(problem).splitlines()[0]
            raise self._problem(f"{text!r} is no JMESPath expression: {summary}") from None
        except RecursionError:
            raise self._problem("the JMESPath expression is nested too deeply") from None

    def search(self, item: Any) -> Any:
        """What the expression gives of an item; None where the item has no such field.

        Raises:
            InvalidInput: the expression multiplies what it is given.
        """
        if self._name is not None:
            return item.get(self._name) if isinstance(item, dict) else None
        try:
            return _BoundedInterpreter().visit(self._parsed, item)
        except JMESPathError:
            return None  # a function met a value of another type
        except _TooManyElements:
            raise self._problem(
                f"{self.text[:200]!r} gives more than {MAX_ELEMENTS:,} elements"
            ) from None

    def _problem(self, message: str) -> InvalidInput:
        return InvalidInput(message, field=f"options.{self._option}")


class _TooManyElements(Exception):
    """An expression makes more of a document than a feed may hold."""


class _BoundedInterpreter(TreeInterpreter):
    """Counts the elements of each list that an expression makes: a pipe may double it each time."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = MAX_ELEMENTS

    def _counted(self, result: Any) -> Any:
        if isinstance(result, list):
            self._rest -= len(result)
            if self._rest < 0:
                raise _TooManyElements
        return result

    def visit_flatten(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_flatten(node, value))

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_function_expression(node, value))

    def visit_projection(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_projection(node, value))

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_value_projection(node, value))

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_filter_projection(node, value))
