"""Writing a template's text, in a child process that can be killed.

A template reads plain data: mappings, lists, texts and numbers. No attribute of a Python object is
ever read, nothing is called but a few filters, and nothing is included or imported. What it takes
is bounded: the text here, processor time and memory by the process.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jinja2
import msgspec
from jinja2.exceptions import SecurityError, TemplateRuntimeError, TemplateSyntaxError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.errors import InvalidInput

MAX_OUTPUT: Final = 16_384
"""Characters that a template may write."""
_MAX_PRODUCT: Final = 100_000
"""The largest text or list that a multiplication makes."""
_NAME: Final = "template"
_LOOP: Final = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
_FILTERS: Final = (
    *("abs", "batch", "capitalize", "count", "default", "d", "dictsort", "first", "float"),
    *("groupby", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min"),
    *("reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "slice"),
    *("sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
)


class TemplateOrder(msgspec.Struct, frozen=True):
    """What is to be written.

    Attributes:
        text: the template.
        values: what it may name.
    """

    text: str
    values: dict[str, Any]


class _PlainEnvironment(ImmutableSandboxedEnvironment):
    """Reads items of data, and what a loop says about itself."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An item of a mapping; never an attribute."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a mapping or a list."""
        if isinstance(obj, LoopContext) and argument in _LOOP:
            return getattr(obj, argument)
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice):
            try:
                return obj[argument]
            except IndexError:
                pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """A product of numbers, or a short one of a text."""
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "%" and is_number:
            return left % right
        if operator == "*" and is_number:
            return left * right
        size = len(left) if isinstance(left, str | list) else 0
        if operator == "*" and isinstance(right, int) and 0 < size * right <= _MAX_PRODUCT:
            return left * right
        raise SecurityError(f"{operator} is for small numbers and short texts")

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002
        """Nothing is called."""
        return False


def rendering_job(request: bytes, files: list[int]) -> Iterator[bytes]:  # noqa: ARG001
    """Write a template's text: one frame.

    Args:
        request: a `TemplateOrder`.
        files: none.

    Raises:
        InvalidInput: the template cannot be read, names what there is not, does what it may not, or
            writes too much; `line` is the place.
    """
    order = msgspec.msgpack.decode(request, type=TemplateOrder)
    try:
        yield _written(order).encode()
    except TemplateSyntaxError as error:
        raise _refusal(error.message or "it cannot be read", error.lineno) from None
    except (TemplateRuntimeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _refusal(str(error), _line(error)) from None
    except RecursionError:
        raise _refusal("it is nested too deep", None) from None


def _written(order: TemplateOrder) -> str:
    environment = _environment()
    pieces: list[str] = []
    size = 0
    for piece in environment.from_string(order.text).generate(order.values):
        size += len(piece)
        if size > MAX_OUTPUT:
            raise TemplateRuntimeError(f"it writes more than {MAX_OUTPUT:,} characters")
        pieces.append(piece)
    return "".join(pieces)


def _environment() -> _PlainEnvironment:
    environment = _PlainEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # each channel escapes the whole text
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    return environment


def _refusal(reason: str, line: int | None) -> InvalidInput:
    place = f" in line {line}" if line else ""
    message = f"The template cannot be used{place}: {reason[:300]}"
    return InvalidInput(message, field="text", line=line)


def _line(error: BaseException) -> int | None:
    """The line of the template at which an error arose; Jinja writes it into the trace."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in (f"<{_NAME}>", "<unknown>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
