"""Converts events of MISP by misp-stix: a process of its own, because that alters Python's imports.

Its library for STIX 1 brings an importer that warns at every later import.
"""

import json
import subprocess
import sys
from typing import Any


def convert(events: list[dict[str, Any]]) -> list[dict[str, bytes]]:
    """Each event as bundles, by the version of STIX."""
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__],
        input=json.dumps(events).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    ).stdout
    return [_encoded(texts) for texts in json.loads(output)]


def _encoded(texts: dict[str, str]) -> dict[str, bytes]:
    return {version: text.encode() for version, text in texts.items()}


def _main() -> None:
    from misp_stix_converter import MISPtoSTIX20Parser, MISPtoSTIX21Parser

    converted = []
    for event in json.load(sys.stdin):
        bundles = {}
        for version, parser in (("2.0", MISPtoSTIX20Parser), ("2.1", MISPtoSTIX21Parser)):
            converter = parser()
            converter.parse_misp_event(event)
            bundles[version] = converter.bundle.serialize()
        converted.append(bundles)
    json.dump(converted, sys.stdout)


if __name__ == "__main__":
    _main()
