"""The public feeds that come with SentinelIQ: data in `catalog/`, one file each.

`python -m services.feeds.catalog.catalog` checks all of them, and reads the sample of each: docs/catalogue.md.
"""

import io
import re
import sys
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.feeds.collectors.credentials import Auth
from services.feeds.collectors.registry import collector_names
from services.feeds.formats.base import DroppedItem, ParsedIndicator
from services.feeds.formats.registry import format_named
from services.feeds.subscriptions.schemas import Kind, Reliability, Tag, Tlp
from shared.errors import InvalidInput, NotFound
from shared.stix import ObservableType

FOLDER: Final = Path(__file__).parent / "entries"
SAMPLES: Final = Path(__file__).parents[3] / "tests" / "feeds" / "catalog"
"""A sample of each feed and what is read from it; only there where the tests are."""

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Address = Annotated[str, Field(max_length=2048, pattern=r"^https?://")]
_DEFAULTS: Final = {"enabled": True, "retention_days": 7}
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_WHOLE_LISTS: Final = ("text", "csv", "json")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Model):
    """What the provider allows.

    Attributes:
        name: of the licence, or "not stated by the provider".
        terms: what a user has to know, in one or two sentences.
        commercial_use: yes, no, or ask the provider.
    """

    name: Text
    terms: Text
    url: Address | None = None
    commercial_use: Literal["yes", "no", "ask"] = "ask"


class Wanted(_Model):
    """What the provider wants to see before it answers.

    Attributes:
        kind: of credentials, see `collectors.credentials`.
        fields: of that kind that are always the same, such as a header's name.
        how: where to get the rest.
        required: whether it answers without.
    """

    kind: Literal["basic", "bearer", "header", "query", "certificate"]
    fields: dict[str, str] = {}
    how: Text
    required: bool = True


class Entry(_Model):
    """One public feed.

    Attributes:
        slug: its file's name, and what it is subscribed to by.
        types: observable types that it gives.
        every: how often it is worth asking: 30m, 1h, 1d.
        min_interval: least seconds between two visits to the provider.
        known_trouble: what a user should know beforehand.
        retired: why it is of no use any more; it is kept as a warning.
    """

    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]
    title: Text
    provider: Text
    home: Address
    url: Address
    format: str
    options: dict[str, Any] = {}
    collector: str = "http"
    collector_options: dict[str, Any] = {}
    kind: Kind = "snapshot"
    types: Annotated[list[ObservableType], Field(min_length=1)]
    every: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[mhd]$")]
    min_interval: Annotated[int, Field(ge=1, le=86400)] = 60
    licence: Licence
    tlp: Tlp = "clear"
    reliability: Reliability
    confidence: Annotated[int, Field(ge=0, le=100)] = 50
    tags: list[Tag] = []
    auth: Wanted | None = None
    known_trouble: list[Text] = []
    retired: Text | None = None

    @property
    def every_seconds(self) -> int:
        """The cadence in seconds."""
        return int(self.every[:-1]) * _UNITS[self.every[-1]]

    def settings(self, auth: Auth | None) -> dict[str, Any]:
        """A feed's settings as this entry has them.

        Raises:
            InvalidInput: the entry is retired, or the provider wants credentials of another kind than are given.
        """
        if self.retired is not None:
            raise InvalidInput(f"{self.title} is retired: {self.retired}", field="slug")
        if self.auth and self.auth.required and (auth is None or auth.kind != self.auth.kind):
            wanted = f"{self.title} wants credentials of kind {self.auth.kind}"
            raise InvalidInput(f"{wanted}: {self.auth.how}", field="auth")
        same = (
            "url",
            "format",
            "options",
            "collector",
            "collector_options",
            "kind",
            "min_interval",
        )
        believed = ("confidence", "reliability", "tlp", "tags")
        chosen = self.model_dump(include={*same, *believed})
        return {**_DEFAULTS, **chosen, "every_seconds": self.every_seconds, "catalogue": self.slug}

    def as_dict(self) -> dict[str, Any]:
        """The entry as it is shown."""
        return self.model_dump(mode="json")


@cache
def entries() -> tuple[Entry, ...]:
    """All entries, by their slugs.

    Raises:
        InvalidInput: a file is no entry; says which, and what is wrong.
    """
    return tuple(load(path) for path in sorted(FOLDER.glob("*.yaml")))


def load(path: Path) -> Entry:
    """The entry in a file.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return Entry.model_validate(
            {"slug": path.stem, **yaml.safe_load(path.read_text(encoding="utf-8"))}
        )
    except (ValidationError, yaml.YAMLError, TypeError) as problem:
        raise InvalidInput(f"{path.name} is no entry of the catalogue: {problem}") from None


def entry(slug: str) -> Entry:
    """The entry of a name.

    Raises:
        NotFound: there is none; says which come near.
    """
    known = {one.slug: one for one in entries()}
    if slug not in known:
        near = (
            get_close_matches(slug, known, n=3)
            or [name for name in known if re.search(re.escape(slug), name)][:3]
        )
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise NotFound(f"There is no feed {slug!r} in the catalogue{hint}")
    return known[slug]


def read(one: Entry, sample: bytes) -> tuple[list[ParsedIndicator], list[DroppedItem]]:
    """What a sample of a feed says, read as the feed would be.

    Raises:
        InvalidInput: the format or its options are wrong, or the sample is not of that format.
    """
    records: list[ParsedIndicator] = []
    dropped: list[DroppedItem] = []
    for batch in format_named(one.format).parse(io.BytesIO(sample), one.options):
        records += batch.indicators
        dropped += batch.dropped
    return records, dropped


def check(one: Entry, sample: bytes | None, expected: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with an entry beyond its form.

    Args:
        one: the entry.
        sample: a short document in the provider's layout, unpacked.
        expected: `records` as they are read from it, without empty fields, and `dropped`, reason -> count.
    """
    found = _settings_problems(one)
    if sample is None or expected is None:
        return [*found, "there is no sample and expected result"]
    try:
        records, dropped = read(one, sample)
    except InvalidInput as problem:
        return [*found, f"the sample cannot be read: {problem.message}"]
    got = msgspec.json.decode(msgspec.json.encode(records))
    wanted = expected.get("records", [])
    for at, (have, want) in enumerate(zip(got, wanted, strict=False), 1):
        if have != want:
            found.append(f"record {at} of the sample is {have}, expected {want}")
    if len(got) != len(wanted):
        found.append(f"the sample gives {len(got)} records, expected {len(wanted)}")
    if (reasons := Counter(piece.reason for piece in dropped)) != expected.get("dropped", {}):
        found.append(f"the sample drops {dict(reasons)}, expected {expected.get('dropped', {})}")
    return found + _type_problems(one, {record.type for record in records})


def _settings_problems(one: Entry) -> list[str]:
    found = []
    if one.collector not in collector_names():
        found.append(f"there is no collector {one.collector!r}")
    if one.url.startswith("http://") and not any(
        "https" in trouble for trouble in one.known_trouble
    ):
        found.append("the address is http; say under known_trouble that the provider has no https")
    if one.every_seconds < one.min_interval:
        found.append(f"it is fetched every {one.every}, more often than its min_interval allows")
    return found


def _type_problems(one: Entry, given: set[str]) -> list[str]:
    listed = set(map(str, one.types))
    found = [
        f"the sample gives {kind}, which is not among its types" for kind in sorted(given - listed)
    ]
    if one.format in _WHOLE_LISTS:  # an event, a bundle or a report shows some of the types only
        found += [
            f"{kind} is among its types, the sample gives none" for kind in sorted(listed - given)
        ]
    return found


def check_all(folder: Path = FOLDER, samples: Path | None = SAMPLES) -> list[str]:
    """What is wrong with the entries of a folder and their samples, each sentence with the entry's name.

    Args:
        folder: the entries.
        samples: `<slug>.sample` and `<slug>.expected.yaml` of each; None leaves them out.
    """
    found, titles = [], Counter[str]()
    for path in sorted(folder.glob("*.yaml")):
        try:
            one = load(path)
        except InvalidInput as problem:
            found.append(problem.message)
            continue
        titles[one.title] += 1
        said = (
            _settings_problems(one) if samples is None else check(one, *_sample(samples, one.slug))
        )
        found += [f"{one.slug}: {problem}" for problem in said]
    found += [
        f"{count} entries have the title {title!r}" for title, count in titles.items() if count > 1
    ]
    if samples is not None:
        known = {path.stem for path in folder.glob("*.yaml")}
        found += [
            f"{path.name} belongs to no entry"
            for path in samples.glob("*.sample")
            if path.stem not in known
        ]
    return found


def _sample(folder: Path, slug: str) -> tuple[bytes | None, dict[str, Any] | None]:
    sample, expected = folder / f"{slug}.sample", folder / f"{slug}.expected.yaml"
    if not sample.is_file() or not expected.is_file():
        return None, None
    return sample.read_bytes(), yaml.safe_load(expected.read_text(encoding="utf-8"))


def main() -> None:
    """Check every entry; exit with what is wrong."""
    samples = SAMPLES if SAMPLES.is_dir() else None
    if found := check_all(samples=samples):
        sys.exit("\n".join(found))
    beside = "" if samples else "; no samples are here to check them by"
    sys.stdout.write(f"{len(entries())} entries are in order{beside}\n")


if __name__ == "__main__":
    main()
