"""What other platforms call the types of observables, for the channels that hand these on.

Sources: https://docs.strangebee.com/thehive/administration/observable-types/ and
https://www.circl.lu/doc/misp/categories-and-types/
"""

from typing import Any, Final

THEHIVE: Final = {
    "ipv4-addr": "ip",
    "ipv6-addr": "ip",
    "domain-name": "domain",
    "url": "url",
    "email-addr": "mail",
    "autonomous-system": "autonomous-system",
    "file-md5": "hash",
    "file-sha1": "hash",
    "file-sha256": "hash",
    "file-sha512": "hash",
    "file-name": "filename",
    "windows-registry-key": "registry",
    "user-agent": "user-agent",
}
"""Types that are not listed are `other`."""
MISP: Final = {
    "ipv4-addr": ("ip-dst", "Network activity"),
    "ipv6-addr": ("ip-dst", "Network activity"),
    "domain-name": ("domain", "Network activity"),
    "url": ("url", "Network activity"),
    "email-addr": ("email-src", "Payload delivery"),
    "mac-addr": ("mac-address", "Network activity"),
    "autonomous-system": ("AS", "Network activity"),
    "file-md5": ("md5", "Payload delivery"),
    "file-sha1": ("sha1", "Payload delivery"),
    "file-sha256": ("sha256", "Payload delivery"),
    "file-sha512": ("sha512", "Payload delivery"),
    "file-ssdeep": ("ssdeep", "Payload delivery"),
    "file-tlsh": ("tlsh", "Payload delivery"),
    "file-imphash": ("imphash", "Payload delivery"),
    "file-name": ("filename", "Payload delivery"),
    "vulnerability": ("vulnerability", "External analysis"),
    "windows-registry-key": ("regkey", "Persistence mechanism"),
    "mutex": ("mutex", "Artifacts dropped"),
    "user-agent": ("user-agent", "Network activity"),
}
"""Types and their categories; types that are not listed are `text` in `Other`."""


def tags_of(match: dict[str, Any]) -> list[str]:
    """The tags of a match, as far as there are any."""
    tags = match.get("tags")
    return [str(tag) for tag in tags[:20]] if isinstance(tags, list) else []


def is_observable(match: dict[str, Any]) -> bool:
    """Whether a match is an observable with a value, not the health of a feed."""
    value = match.get("value")
    return isinstance(value, str) and bool(value.strip())
