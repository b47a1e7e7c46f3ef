"""Checks of the catalog's entries and the samples they are tested with.

`python -m services.feeds.catalog.checks` checks all of them: docs/catalog.md.
"""

import io
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from services.feeds.catalog.schemas import CatalogEntry
from services.feeds.catalog.service import FOLDER, list_entries, read_entry
from services.feeds.collectors.registry import collector_names
from services.feeds.formats.base import DroppedItem, ParsedIndicator
from services.feeds.formats.registry import format_named
from shared.errors import InvalidInput

SAMPLES: Final = Path(__file__).parents[3] / "tests" / "feeds" / "catalog"
"""A sample of each feed and what is read from it; only there where the tests are."""
_COMPLETE_FORMATS: Final = ("text", "csv", "json")
"""Formats whose sample shows all types of a feed; an event, a bundle or a report shows some."""


def parse_sample(
    entry: CatalogEntry, sample: bytes
) -> tuple[list[ParsedIndicator], list[DroppedItem]]:
    """The indicators of a sample and what is left out, parsed as the feed would be.

    Raises:
        InvalidInput: the format or its options are wrong, or the sample is not of that format.
    """
    indicators: list[ParsedIndicator] = []
    dropped: list[DroppedItem] = []
    for batch in format_named(entry.format).parse(io.BytesIO(sample), entry.options):
        indicators += batch.indicators
        dropped += batch.dropped
    return indicators, dropped


def check_entry(
    entry: CatalogEntry, sample: bytes | None, expected: Mapping[str, Any] | None
) -> list[str]:
    """Problems of an entry beyond its form.

    Args:
        entry: the entry.
        sample: a short document in the provider's layout, unpacked.
        expected: `records` that are parsed from it, without empty fields, and `dropped`,
            reason -> count.
    """
    problems = _settings_problems(entry)
    if sample is None or expected is None:
        return [*problems, "there is no sample and expected result"]
    try:
        indicators, dropped = parse_sample(entry, sample)
    except InvalidInput as error:
        return [*problems, f"the sample cannot be read: {error.message}"]
    problems += _record_problems(indicators, expected.get("records", []))
    reasons = Counter(item.reason for item in dropped)
    expected_reasons = expected.get("dropped", {})
    if reasons != expected_reasons:
        problems.append(f"the sample drops {dict(reasons)}, expected {expected_reasons}")
    return problems + _type_problems(entry, {indicator.type for indicator in indicators})


def _record_problems(indicators: list[ParsedIndicator], expected: list[Any]) -> list[str]:
    records = msgspec.json.decode(msgspec.json.encode(indicators))
    problems = [
        f"record {number} of the sample is {record}, expected {expected_record}"
        for number, (record, expected_record) in enumerate(zip(records, expected, strict=False), 1)
        if record != expected_record
    ]
    if len(records) != len(expected):
        problems.append(f"the sample gives {len(records)} records, expected {len(expected)}")
    return problems


def _settings_problems(entry: CatalogEntry) -> list[str]:
    problems = []
    if entry.collector not in collector_names():
        problems.append(f"there is no collector {entry.collector!r}")
    explains_http = any("https" in trouble for trouble in entry.known_trouble)
    if entry.url.startswith("http://") and not explains_http:
        problems.append(
            "the address is http; say under known_trouble that the provider has no https"
        )
    if entry.every_seconds < entry.min_interval:
        problems.append(
            f"it is fetched every {entry.every}, more often than its min_interval allows"
        )
    return problems


def _type_problems(entry: CatalogEntry, types: set[str]) -> list[str]:
    listed = set(map(str, entry.types))
    problems = [
        f"the sample gives {kind}, which is not among its types" for kind in sorted(types - listed)
    ]
    if entry.format in _COMPLETE_FORMATS:
        problems += [
            f"{kind} is among its types, the sample gives none" for kind in sorted(listed - types)
        ]
    return problems


def check_all(folder: Path = FOLDER, samples: Path | None = SAMPLES) -> list[str]:
    """Problems of a folder's entries and their samples, each with the entry's name.

    Args:
        folder: the entries.
        samples: `<slug>.sample` and `<slug>.expected.yaml` of each; None leaves them out.
    """
    problems: list[str] = []
    titles = Counter[str]()
    paths = sorted(folder.glob("*.yaml"))
    for path in paths:
        try:
            entry = read_entry(path)
        except InvalidInput as error:
            problems.append(error.message)
            continue
        titles[entry.title] += 1
        if samples is None:
            of_entry = _settings_problems(entry)
        else:
            of_entry = check_entry(entry, *_read_sample(samples, entry.slug))
        problems += [f"{entry.slug}: {problem}" for problem in of_entry]
    problems += [
        f"{count} entries have the title {title!r}" for title, count in titles.items() if count > 1
    ]
    if samples is not None:
        slugs = {path.stem for path in paths}
        problems += [
            f"{path.name} belongs to no entry"
            for path in samples.glob("*.sample")
            if path.stem not in slugs
        ]
    return problems


def _read_sample(folder: Path, slug: str) -> tuple[bytes | None, dict[str, Any] | None]:
    sample = folder / f"{slug}.sample"
    expected = folder / f"{slug}.expected.yaml"
    if not sample.is_file() or not expected.is_file():
        return None, None
    return sample.read_bytes(), yaml.safe_load(expected.read_text(encoding="utf-8"))


def main() -> None:
    """Check every entry; exit with the problems."""
    samples = SAMPLES if SAMPLES.is_dir() else None
    problems = check_all(samples=samples)
    if problems:
        sys.exit("\n".join(problems))
    note = "" if samples else "; no samples are here to check them by"
    sys.stdout.write(f"{len(list_entries())} entries are in order{note}\n")


if __name__ == "__main__":
    main()
