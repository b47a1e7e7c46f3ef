"""The STIX patterns of observables. No I/O."""

from typing import Final

from shared.stix import ObservableType as Type
from shared.stix.ids import shape_of

_NETWORKS: Final = frozenset({Type.IPV4, Type.IPV6})
_HASHES: Final[dict[str, str]] = {
    Type.MD5: "file:hashes.MD5",
    Type.SHA1: "file:hashes.'SHA-1'",
    Type.SHA256: "file:hashes.'SHA-256'",
    Type.SHA512: "file:hashes.'SHA-512'",
    Type.SSDEEP: "file:hashes.SSDEEP",
    Type.TLSH: "file:hashes.TLSH",
    Type.IMPHASH: "file:extensions.'windows-pebinary-ext'.imphash",
    Type.FILE_NAME: "file:name",
    Type.X509_SHA1: "x509-certificate:hashes.'SHA-1'",
    Type.X509_SHA256: "x509-certificate:hashes.'SHA-256'",
    Type.REGISTRY_KEY: "windows-registry-key:key",
    Type.MUTEX: "mutex:name",
}
"""Object paths of types whose value stands in another property than `value`."""
_WITHOUT_PATTERN: Final = frozenset({Type.VULNERABILITY})
"""Types that patterns cannot name: they are no cyber-observables."""


def pattern_of(kind: str, value: str) -> str | None:
    """The STIX pattern that matches an observable and nothing else; None where there is none."""
    if kind in _WITHOUT_PATTERN:
        return None
    if kind == Type.ASN:
        return f"[autonomous-system:number = {value[2:]}]"
    path = _HASHES.get(kind) or f"{shape_of(kind)[0]}:value"
    operator = "ISSUBSET" if kind in _NETWORKS and "/" in value else "="
    literal = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"[{path} {operator} '{literal}']"
