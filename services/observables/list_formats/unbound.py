"""Configuration of Unbound. Its manual: https://unbound.docs.nlnetlabs.nl/."""

from collections.abc import Sequence

from services.observables.list_formats.base import ListVersion
from services.observables.list_formats.names import BelowListFormat


class UnboundListFormat(BelowListFormat):
    """`local-data` says a name alone; `always_nxdomain` says the names below it as well."""

    name = "unbound"
    summary = "Unbound: names lead to 0.0.0.0; with `below` they and those below do not exist."

    def head(self, version: ListVersion) -> list[str]:
        """The clause that local data belongs to."""
        return [*super().head(version), "server:"]

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:
        """The lines of a name."""
        if self.stands_for_below(version):
            return (f'local-zone: "{name}." always_nxdomain',)
        return (f'local-data: "{name}. 60 IN A 0.0.0.0"',)
