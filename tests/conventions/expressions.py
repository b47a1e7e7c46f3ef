"""Every regular expression of the code, and texts that may take it more than linear time.

`find_expressions` collects them from the syntax tree: `re.compile` and the functions of `re`. Their
arguments are evaluated in their module. `pumped` makes prefixes, pumps and suffixes from the parsed
expression: for each repeat, a text that leads to it, what its body matches, and what lets it fail.
"""

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from re import _constants as op
from re import _parser as parser
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("shared", "services", "sentineliq")
_FUNCTIONS: Final = frozenset(
    {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
)
_ANCHORED: Final = frozenset({"match", "fullmatch"})
_MANY: Final = 16
"""Copies from which on a repeat may be pumped."""
_SAMPLES: Final = 3
_REPEATS: Final = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_SUFFIXES: Final = ("", "\0", "!\n")


class Expression(NamedTuple):
    """An expression, and where it stands.

    Attributes:
        place: `path:line`, and the name it has.
        name: `path:NAME`; the place where it has none.
        pattern: compiled.
        methods: by which it is used; `search` stands for what is not known.
    """

    place: str
    name: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


class PumpedText(NamedTuple):
    """A text that may be repeated: prefix, then pump as often as one likes, then suffix."""

    prefix: str
    pump: str
    suffix: str

    def of_length(self, length: int) -> str:
        """The text with as many pumps as fit."""
        return self.prefix + self.pump * max(1, length // len(self.pump)) + self.suffix


def find_expressions() -> Iterator[Expression | str]:
    """All expressions; of those whose text is made at run time the place alone."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text()
            if "re." in source:
                yield from _expressions_of(path, ast.parse(source))


def _expressions_of(path: Path, tree: ast.Module) -> Iterator[Expression | str]:
    where = path.relative_to(ROOT).as_posix()
    names = {
        id(node.value): node.targets[0].id if isinstance(node, ast.Assign) else node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.targets[0] if isinstance(node, ast.Assign) else node.target, ast.Name)
    }
    for node in ast.walk(tree):
        function = _function_of(node)
        if function is None:
            continue
        name = names.get(id(node))
        place = f"{where}:{node.lineno}" + (f" {name}" if name else "")
        try:
            pattern = _evaluate(where, node)
        except NameError:
            yield place
            continue
        methods = frozenset({function}) if function != "compile" else _methods(tree, name)
        yield Expression(place, f"{where}:{name or node.lineno}", pattern, methods)


def _function_of(node: ast.AST) -> str | None:
    """The function of `re` that is called."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    is_of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
    return node.func.attr if is_of_re and node.func.attr in _FUNCTIONS else None


def _evaluate(where: str, call: ast.Call) -> re.Pattern[Any]:
    module = importlib.import_module(where.removesuffix(".py").replace("/", "."))
    position = 1 if _function_of(call) == "compile" else len(call.args)
    arguments = [call.args[0], *call.args[1 : position + 1]]
    arguments += [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
    values = [
        eval(compile(ast.Expression(argument), where, "eval"), vars(module))  # noqa: S307
        for argument in (arguments if position == 1 else arguments[:1])
    ]
    return re.compile(*values)


def _methods(tree: ast.Module, name: str | None) -> frozenset[str]:
    """By which methods an expression is used in its module; `search` if that is not known."""
    methods = set()
    for node in ast.walk(tree):
        is_of_name = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_of_name and node.value.id == name and node.attr in _FUNCTIONS:
            methods.add(node.attr)
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))
    attributes = sum(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        for node in ast.walk(tree)
    )
    # One use is the assignment itself. A private name is used in its module alone.
    if name is None or not name.startswith("_") or uses - 1 != attributes:
        methods.add("search")
    return frozenset(methods)


def is_anchored(expression: Expression) -> bool:
    """Whether it is only tried from the beginning of a text."""
    return expression.methods <= _ANCHORED


# Texts


def pumped(pattern: re.Pattern[Any]) -> list[PumpedText]:
    """Texts that may make it slow."""
    text = pattern.pattern
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    tree = parser.parse(text, pattern.flags & ~re.UNICODE & ~re.DEBUG)
    whole = list(islice(_samples(list(tree)), _SAMPLES))
    pumps: dict[PumpedText, None] = {}
    for before, repeat in _repeats(list(tree), [""]):
        bodies = list(islice(_samples(list(repeat)), 2 * _SAMPLES))
        bodies += [first + second for first, second in islice(product(bodies, bodies), 6)]
        prefixes = list(dict.fromkeys([*before[:_SAMPLES], ""]))
        for prefix, body, suffix in product(prefixes, bodies, _SUFFIXES):
            if body:
                pumps[PumpedText(prefix, body, suffix)] = None
            if prefix:
                # The beginning of a match, again and again.
                pumps[PumpedText("", prefix + body, suffix)] = None
    for sample, suffix in product(whole, _SUFFIXES):
        for piece in (sample, sample[:-1]):
            if piece:
                pumps[PumpedText("", piece, suffix)] = None
    return list(pumps)


def alphabet(pattern: re.Pattern[Any]) -> str:
    """Characters that its samples consist of, and some others."""
    letters = {letter for text in pumped(pattern) for part in text[:2] for letter in part}
    return "".join(sorted(letters | set("a0 .:/\n")))


def _repeats(items: Sequence[Any], before: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Each repeat that can be pumped, with texts that lead to it."""
    for kind, value in items:
        if kind in _REPEATS:
            _, most, body = value
            if most >= _MANY:
                yield before, body
            yield from _repeats(list(body), before)
        elif kind is op.SUBPATTERN:
            yield from _repeats(list(value[-1]), before)
        elif kind is op.ATOMIC_GROUP:
            yield from _repeats(list(value), before)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from _repeats(list(branch), before)
        elif kind is op.ASSERT:
            yield from _repeats(list(value[1]), before)
        ends = list(islice(_samples([(kind, value)]), _SAMPLES)) or [""]
        before = [start + end for start, end in islice(product(before, ends), _SAMPLES)]


def _samples(items: Sequence[Any]) -> Iterator[str]:
    """Some texts that a sequence of items matches."""
    choices = [list(islice(_item_samples(*item), 2 * _SAMPLES)) or [""] for item in items]
    return ("".join(parts) for parts in islice(product(*choices), 4 * _SAMPLES))


def _item_samples(kind: Any, value: Any) -> Iterator[str]:
    if kind is op.LITERAL:
        yield chr(value)
    elif kind in {op.NOT_LITERAL, op.ANY, op.IN}:
        yield from _letters(kind, value)
    elif kind in _REPEATS:
        least, _, body = value
        for sample in islice(_samples(list(body)), _SAMPLES):
            yield sample * max(1, least)
        if not least:
            yield ""
    elif kind is op.SUBPATTERN:
        yield from _samples(list(value[-1]))
    elif kind is op.ATOMIC_GROUP:
        yield from _samples(list(value))
    elif kind is op.BRANCH:
        for branch in value[1]:
            yield from islice(_samples(list(branch)), 2)
    else:  # an anchor, an assertion, a reference
        yield ""


def _letters(kind: Any, value: Any) -> Iterator[str]:
    """Characters of a class, those first that other parts of expressions often take as well."""
    for letter in "a0 .-:/<\"'_A1,;=|[]()\\\n\t>*+?!":
        if kind is op.ANY:
            is_in = letter != "\n"
        elif kind is op.NOT_LITERAL:
            is_in = ord(letter) != value
        else:
            is_in = _is_in_class(letter, value)
        if is_in:
            yield letter


def _is_in_class(letter: str, members: Sequence[Any]) -> bool:
    is_negated = bool(members) and members[0][0] is op.NEGATE
    return is_negated != any(_is_member(letter, *member) for member in members)


def _is_member(letter: str, kind: Any, value: Any) -> bool:
    if kind is op.LITERAL:
        return ord(letter) == value
    if kind is op.RANGE:
        return value[0] <= ord(letter) <= value[1]
    if kind is op.CATEGORY:
        tests = {
            op.CATEGORY_DIGIT: letter.isdigit(),
            op.CATEGORY_NOT_DIGIT: not letter.isdigit(),
            op.CATEGORY_SPACE: letter.isspace(),
            op.CATEGORY_NOT_SPACE: not letter.isspace(),
            op.CATEGORY_WORD: letter.isalnum() or letter == "_",
            op.CATEGORY_NOT_WORD: not (letter.isalnum() or letter == "_"),
        }
        return tests[value]
    return False
