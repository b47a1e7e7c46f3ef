"""Vulnerabilities that are known to be exploited: CISA's KEV catalogue."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Final, NamedTuple

import msgspec

from services.observables.reference import packed_arrays
from shared.errors import InvalidInput


class KevEntry(NamedTuple):
    """What the catalogue says about one vulnerability.

    Attributes:
        since: the day it was added to the catalogue.
        ransomware: whether ransomware is known to use it.
        name: what people call it.
    """

    since: str
    ransomware: bool
    name: str


_Number = Annotated[str, msgspec.Meta(pattern="^CVE-[0-9]{4}-[0-9]{4,19}$")]
_SYNTAX: Final = re.compile(r"\(byte (\d+)\)$")


class _Entry(msgspec.Struct):
    cve: _Number = msgspec.field(name="cveID")
    added: date = msgspec.field(name="dateAdded")
    name: str = msgspec.field(name="vulnerabilityName")
    ransomware: str = msgspec.field(name="knownRansomwareCampaignUse", default="Unknown")


class _Catalogue(msgspec.Struct):
    vulnerabilities: list[_Entry]
    version: str = msgspec.field(name="catalogVersion", default="")


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Catalogues as one blob for `Exploited`; of two entries about one vulnerability the later counts.

    Raises:
        InvalidInput: a file is no catalogue; the message names the file and the line, or which entry it is.
    """
    found: dict[str, KevEntry] = {}
    version = ""
    for name, data in files:
        try:
            catalogue = msgspec.json.decode(data, type=_Catalogue)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            where = f"{name}{_line(data, error)}"
            raise InvalidInput(
                f"{where} is no catalogue of exploited vulnerabilities: {error}", where=where
            ) from error
        version = max(version, catalogue.version)
        for one in catalogue.vulnerabilities:
            found[one.cve] = KevEntry(
                one.added.isoformat(), one.ransomware.lower() == "known", one.name
            )
    # Some fifteen hundred short entries: as a header they are read in a millisecond.
    return packed_arrays.pack({"kind": "exploited", "version": version, "found": found}, {})


def _line(data: bytes, error: Exception) -> str:
    """In which line the JSON breaks; nothing where it is well formed but says something else."""
    if isinstance(error, msgspec.ValidationError):
        return ""
    byte = _SYNTAX.search(str(error))
    before = data[: int(byte[1])] if byte else data
    return f", line {before.count(10) + 1}"


class KevCatalog:
    """The packed catalogue.

    Args:
        blob: what `pack` returned.

    Raises:
        InvalidInput: the blob is none of ours.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, _ = packed_arrays.unpack(blob)
        if about.get("kind") != "exploited":
            raise InvalidInput(
                "This is packed reference data, but no catalogue of exploited vulnerabilities"
            )
        self.version: str = about["version"]
        self._found = {cve: KevEntry(*one) for cve, one in about["found"].items()}

    def __len__(self) -> int:
        return len(self._found)

    def find(self, cve: str) -> KevEntry | None:
        """The entry about a vulnerability by its canonical number, such as `CVE-2021-44228`."""
        return self._found.get(cve)
