"""The sets of reference data: what each is, where it comes from, and how it becomes one packed piece."""

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from services.observables.reference import kev_catalog, networks, warning_lists
from shared.errors import InvalidInput

Files = Iterable[tuple[str, bytes]]
_MOST: Final = 512 * 1024 * 1024


class Dataset(NamedTuple):
    """One set.

    Attributes:
        name: what it is kept under.
        addresses: where its files are, all of which are needed.
        pack: makes one piece of them.
        bundled: the files that came with the installation, for as long as none could be fetched.
    """

    name: str
    title: str
    licence: str
    addresses: tuple[str, ...]
    pack: Callable[[Files], bytes]
    bundled: Callable[[], Iterator[tuple[str, bytes]]] | None = None


DATASETS: Final = (
    Dataset(
        "warninglists",
        "MISP warning lists",
        "CC0-1.0",
        ("https://github.com/MISP/misp-warninglists/archive/refs/heads/main.zip",),
        warning_lists.pack,
        warning_lists.bundled,
    ),
    Dataset(
        "networks",
        "iptoasn.com: announced networks with their AS and country of registration",
        "PDDL-1.0",
        ("https://iptoasn.com/data/ip2asn-v4.tsv.gz", "https://iptoasn.com/data/ip2asn-v6.tsv.gz"),
        networks.pack,
    ),
    Dataset(
        "exploited",
        "CISA: known exploited vulnerabilities",
        "CC0-1.0",
        ("https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",),
        kev_catalog.pack,
    ),
)

BY_NAME: Final = {one.name: one for one in DATASETS}


def files_of(downloaded: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """The files in what was fetched: members of archives, and what is compressed alone, unpacked.

    Raises:
        InvalidInput: an archive is broken, holds more than 512 MiB, or there is nothing at all.
    """
    total = 0
    for path in downloaded:
        for name, content in _unpacked(path):
            total += len(content)
            if total > _MOST:
                raise InvalidInput(f"{path.name} holds more than {_MOST:,} bytes.")
            yield name, content
    if not total:
        raise InvalidInput("There is nothing in what was fetched.")


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith("/list.json") and member.file_size <= _MOST:
                        yield member.filename, archive.read(member)
        elif path.suffix == ".gz":
            with gzip.open(path) as stream:
                yield path.stem, stream.read(_MOST + 1)
        else:
            yield path.name, path.read_bytes()
    # NotImplementedError: a way to compress that Python does not know; RuntimeError: a member with a password.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
        RuntimeError,
    ) as error:
        raise InvalidInput(f"{path.name} is broken: {error}") from error
