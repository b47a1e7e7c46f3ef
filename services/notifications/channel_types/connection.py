"""Connections of channels that speak another protocol than HTTP, to vetted addresses."""

import ssl

from shared.errors import InvalidInput
from shared.http.errors import ForbiddenTarget
from shared.http.guard import Allowance, OutboundPolicy
from shared.http.transport import resolve, tls_context


async def check_host(
    host: str,
    port: int,
    allow: tuple[Allowance, ...],
    ports: frozenset[int],
    field: str = "config.host",
) -> None:
    """Refuse a host that no attempt may reach; a name that does not resolve yet may pass.

    Args:
        host: a name or an address.
        port: of the host.
        allow: what may be reached although it is not public.
        ports: ports that may be reached on public addresses.
        field: the part of the channel that holds it, for the error.

    Raises:
        InvalidInput: the host or port is forbidden, with the reason.
    """
    try:
        OutboundPolicy(allow, ports).vet(host, port, await resolve(host, port))
    except ForbiddenTarget as error:
        raise InvalidInput(f"The channel's address is refused: {error}.", field=field) from error
    except (OSError, UnicodeError):
        return


def tls_context_of(authorities: str | None) -> ssl.SSLContext:
    """A context that verifies servers, also by authorities of the channel's own.

    Args:
        authorities: certificates in PEM.

    Raises:
        InvalidInput: they cannot be read.
    """
    if not authorities:
        return tls_context(None, None)
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidInput(
            "These are no certificates in PEM.", field="config.authorities"
        ) from error
    return context


def refuse_bad_authorities(text: str | None) -> str | None:
    """Validate certificates within a configuration.

    Raises:
        ValueError: they cannot be read.
    """
    try:
        tls_context_of(text)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return text
