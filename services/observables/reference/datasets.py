"""The datasets: where each comes from, and how it becomes one packed piece."""

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

ATTACK: Final = "attack"
"""The index of ATT&CK, which is stored like a dataset but is built from events."""

_MAX_BYTES: Final = 512 * 1024 * 1024


class Dataset(NamedTuple):
    """A set of reference data.

    Attributes:
        name: the key it is stored under.
        addresses: of its files, all of which are needed.
        pack: makes one piece of the files.
        bundled: the files of the installation, used until some could be fetched.
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

BY_NAME: Final = {dataset.name: dataset for dataset in DATASETS}


def unpack_files(downloads: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """The name and content of each file in downloads: archives and gzip files are unpacked.

    Raises:
        InvalidInput: an archive is broken, holds more than 512 MiB, or nothing is in any.
    """
    total = 0
    for path in downloads:
        for name, content in _unpack(path):
            total += len(content)
            if total > _MAX_BYTES:
                raise InvalidInput(f"{path.name} holds more than {_MAX_BYTES:,} bytes.")
            yield name, content
    if not total:
        raise InvalidInput("The download is empty.")


def _unpack(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith("/list.json") and member.file_size <= _MAX_BYTES:
                        yield member.filename, archive.read(member)
        elif path.suffix == ".gz":
            with gzip.open(path) as stream:
                yield path.stem, stream.read(_MAX_BYTES + 1)
        else:
            yield path.name, path.read_bytes()
    # RuntimeError: a member with a password, or (NotImplementedError) a compression that Python
    # does not support.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
        RuntimeError,
    ) as error:
        raise InvalidInput(f"{path.name} is broken: {error}") from error
