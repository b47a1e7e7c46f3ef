"""Configuration of dnsmasq: names lead nowhere. Its manual: https://thekelleys.org.uk/dnsmasq/."""

from collections.abc import Sequence

from services.observables.list_formats.base import ListVersion
from services.observables.list_formats.names import BelowListFormat


class DnsmasqListFormat(BelowListFormat):
    """`host-record` says a name alone; `address` says the names below it as well."""

    name = "dnsmasq"
    summary = "dnsmasq: names lead to 0.0.0.0 and ::."

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:
        """The lines of a name."""
        if self.stands_for_below(version):
            return (f"address=/{name}/",)
        return (f"host-record={name},0.0.0.0,::",)
