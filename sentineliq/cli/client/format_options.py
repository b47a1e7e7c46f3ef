"""Options of formats as words of the command line, and back."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import msgspec
import typer

Options = dict[str, Any]


class Alternative(msgspec.Struct, frozen=True):
    """A way to read a document whose format is in doubt."""

    format: str
    options: Options

    def arguments(self) -> str:
        """The arguments that choose it, as a person can paste them."""
        return shlex.join(["--format", self.format, *option_words(self.options)])


def parse_options(pairs: list[str]) -> Options:
    """`["columns.value=SHA-1"]` as `{"columns": {"value": "SHA-1"}}`.

    A value that is JSON is decoded, except a number in another form than JSON's shortest: `007`
    and `1.10` stay text.
    """
    options: Options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--option")
        *path, last = key.split(".")
        target = options
        for name in path:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                raise typer.BadParameter(
                    f"{pair!r} is within an option that has a value", param_hint="--option"
                )
        target[last] = _value_of(text)
    return options


def option_words(options: Options) -> list[str]:
    """The words that give these options: `parse_options` reads them as the same options."""
    words = []
    for key, value in _flat(options):
        words += ["--option", f"{key}={_text_of(value)}"]
    return words


def _value_of(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and json.dumps(value) != text else value


def _text_of(value: Any) -> str:
    """A value as a text that `_value_of` reads as that value.

    What a terminal does not show, such as a tab, is escaped.
    """
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)
    if not value.isprintable():
        return json.dumps(value)
    return value if _value_of(value) == value else json.dumps(value, ensure_ascii=False)


def _flat(options: Options, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested options as pairs whose keys have dots, where that leaves no doubt."""
    for key, value in options.items():
        if isinstance(value, dict) and value and all(map(_is_simple, value)):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _is_simple(key: str) -> bool:
    """Whether a key can stand between dots and before an equals sign."""
    return bool(key) and key.isprintable() and not set(key) & set(".=")
