"""A hosts file: each name, and no name below it, leads nowhere."""

from collections.abc import Sequence

from services.observables.list_formats.base import ListVersion
from services.observables.list_formats.names import NameListFormat


class HostsListFormat(NameListFormat):
    """Lines of `0.0.0.0 name`."""

    name = "hosts"
    summary = "A hosts file: each name leads to 0.0.0.0."

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:  # noqa: ARG002
        """The line of a name."""
        return (f"0.0.0.0 {name}",)
