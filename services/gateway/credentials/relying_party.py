"""The name that passkeys are bound to, and the pages that may use them. No I/O.

Browsers bind a passkey to a name, and refuse addresses: `localhost` is one, `127.0.0.1` is none.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from shared.errors import InvalidInput

_LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """What a passkey is for.

    Attributes:
        id: the name of the host.
        origin: of the pages that may use it.
    """

    id: str
    origin: str


def relying_party(base_url: str, origin: str | None) -> RelyingParty:
    """Return what passkeys are for.

    Args:
        base_url: the installation's own address.
        origin: of the page that asks; on this machine it may be `localhost` with any port.

    Raises:
        InvalidInput: the page has no name, but an address.
    """
    own = urlsplit(base_url)
    page = urlsplit(origin or "")
    is_local = _is_loopback(own.hostname or "") and page.hostname == _LOCAL
    if is_local and origin is not None and page.port == own.port:
        return RelyingParty(_LOCAL, origin)
    name = own.hostname or ""
    if _is_address(name):
        port = f":{own.port}" if own.port else ""
        raise InvalidInput(
            f"Passkeys are bound to a name, and {name} is an address: "
            f"open {own.scheme}://{_LOCAL}{port}, or set SENTINELIQ_GATEWAY_URL."
        )
    return RelyingParty(name, f"{own.scheme}://{own.netloc}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == _LOCAL or (_is_address(name) and ip_address(name).is_loopback)
