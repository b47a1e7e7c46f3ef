"""compose.yaml as Compose reads it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?P<operator>:\?|:-)(?P<word>[^}]*)\}")


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """compose.yaml with its variables replaced.

    Args:
        variables: those of `.env`; one that is missing although the file requires it is an error.
    """
    document: dict[str, Any] = _interpolated(yaml.safe_load(TEXT), variables)
    return document


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with its variables replaced; `$$` is a dollar sign."""
    if isinstance(value, dict):
        return {key: _interpolated(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_interpolated(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda match: _value(match, variables), value)


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    if match["operator"] == ":?":
        return variables[match["name"]]
    return variables.get(match["name"]) or match["word"]
