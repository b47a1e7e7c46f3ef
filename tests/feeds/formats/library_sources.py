"""Prints the documents in the tests of PyMISP, misp-stix and stix2, from their source archives.

`python -P library_sources.py ARCHIVE` prints a JSON object: a name for each document, and the
document. It is a process of its own, because the tests of misp-stix are a package `tests` as well,
and because their library for STIX 1 alters Python's imports.
"""

import ast
import importlib
import inspect
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Documents = Iterator[tuple[str, Any]]
BUNDLES = ("internal_stix20", "internal_stix21", "external_stix20", "external_stix21")


def files(folder: Path) -> Documents:
    """The JSON files below a folder."""
    for path in sorted(folder.rglob("*.json")):
        yield "-".join(path.relative_to(folder).with_suffix("").parts), json.loads(path.read_text())


def events() -> Documents:
    """The events that the tests of misp-stix make."""
    module = importlib.import_module("tests.test_events")
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("get_") and not inspect.signature(function).parameters:
            yield f"events-{name}", function()


def bundles() -> Documents:
    """The bundles that the tests of misp-stix make."""
    for kind in BUNDLES:
        module = importlib.import_module(f"tests.test_{kind}_bundles")
        for _, owner in inspect.getmembers(module, inspect.isclass):
            for name, function in inspect.getmembers(owner):
                if name.startswith("get_bundle") and not inspect.signature(function).parameters:
                    yield f"{kind}-{name}", json.loads(function().serialize())


def literals(folder: Path) -> Documents:
    """The objects that stand as text or dictionaries in the modules below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            document = literal(node)
            if isinstance(document, dict) and isinstance(document.get("type"), str):
                yield f"{path.parent.name}-{path.stem}-{document['type']}-{id(node)}", document


def literal(node: ast.AST) -> Any:
    """The JSON document that a node of a module is; None if it is none."""
    try:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return json.loads(node.value)
        if isinstance(node, ast.Dict):
            return json.loads(json.dumps(ast.literal_eval(node)))
    except (ValueError, TypeError):
        return None
    return None


def documents(folder: Path) -> Documents:
    """The documents of an archive that was unpacked into a folder."""
    if folder.name.startswith("pymisp"):
        yield from files(folder / "tests")
    elif folder.name.startswith("misp-stix"):
        sys.path.insert(0, str(folder))
        yield from files(folder / "tests")
        yield from events()
        yield from bundles()
    else:
        yield from files(folder / "stix2" / "test")
        yield from literals(folder / "stix2" / "test")


def main() -> None:
    """Print the documents of the archive that the command line names."""
    with tempfile.TemporaryDirectory() as temporary, tarfile.open(sys.argv[1]) as archive:
        archive.extractall(temporary, filter="data")
        (folder,) = Path(temporary).iterdir()
        json.dump(dict(documents(folder)), sys.stdout, default=str)


if __name__ == "__main__":
    main()
