"""CISA's KEV catalogue: vulnerabilities that are known to be exploited."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Final, NamedTuple

import msgspec

from services.observables.reference import packed_arrays
from shared.errors import InvalidInput


class KevEntry(NamedTuple):
    """The catalogue's entry about one vulnerability.

    Attributes:
        since: the day it was added to the catalogue.
        ransomware: whether ransomware is known to use it.
        name: its common name.
    """

    since: str
    ransomware: bool
    name: str


_CveNumber = Annotated[str, msgspec.Meta(pattern="^CVE-[0-9]{4}-[0-9]{4,19}$")]
_SYNTAX_ERROR: Final = re.compile(r"\(byte (\d+)\)$")


class _Vulnerability(msgspec.Struct):
    cve: _CveNumber = msgspec.field(name="cveID")
    added: date = msgspec.field(name="dateAdded")
    name: str = msgspec.field(name="vulnerabilityName")
    ransomware: str = msgspec.field(name="knownRansomwareCampaignUse", default="Unknown")


class _Catalogue(msgspec.Struct):
    vulnerabilities: list[_Vulnerability]
    version: str = msgspec.field(name="catalogVersion", default="")


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Catalogues as one blob for `KevCatalog`; of two entries with one number the later counts.

    Raises:
        InvalidInput: a file is no catalogue; the message names the file and the line, or the
            entry.
    """
    entries: dict[str, KevEntry] = {}
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
        for vulnerability in catalogue.vulnerabilities:
            entries[vulnerability.cve] = KevEntry(
                vulnerability.added.isoformat(),
                vulnerability.ransomware.lower() == "known",
                vulnerability.name,
            )
    # Some fifteen hundred short entries: as a header they are read in a millisecond.
    return packed_arrays.pack({"kind": "exploited", "version": version, "found": entries}, {})


def _line(data: bytes, error: Exception) -> str:
    """The line in which the JSON breaks; empty where it is well formed but no catalogue."""
    if isinstance(error, msgspec.ValidationError):
        return ""
    byte = _SYNTAX_ERROR.search(str(error))
    before = data[: int(byte[1])] if byte else data
    return f", line {before.count(10) + 1}"


class KevCatalog:
    """The packed catalogue.

    Args:
        blob: what `pack` returned.

    Raises:
        InvalidInput: the blob is no packed catalogue.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, _ = packed_arrays.unpack(blob)
        if about.get("kind") != "exploited":
            raise InvalidInput(
                "This is packed reference data, but no catalogue of exploited vulnerabilities."
            )
        self.version: str = about["version"]
        self._entries = {cve: KevEntry(*entry) for cve, entry in about["found"].items()}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, cve: str) -> KevEntry | None:
        """The entry about a vulnerability by its canonical number, such as `CVE-2021-44228`."""
        return self._entries.get(cve)
