"""The hashes.csv of a MISP feed: the MD5 of each value, by which MISP looks values up in feeds."""

from collections.abc import Sequence
from hashlib import md5

from services.observables.list_formats.base import FileAccount, LineListFormat, ListVersion, Row
from services.observables.list_formats.misp_event import MISP_TYPES, event_uuid


class MispHashesFormat(LineListFormat):
    """A line for each entry: the MD5 of its value, and the event that has it."""

    name = "misp-hashes"
    summary = "The hashes.csv of a MISP feed: the MD5 of each value, and the event of the list."
    media_type = "text/csv; charset=utf-8"
    types = frozenset(MISP_TYPES)
    needs_values_alone = True
    comment = None

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,
        account: FileAccount,  # noqa: ARG002  # every entry has a line
    ) -> list[str]:
        """The lines of some rows."""
        event = event_uuid(version.list_id)
        digests = (md5(row[1].encode(), usedforsecurity=False) for row in rows)
        return [f"{digest.hexdigest()},{event}" for digest in digests]
