"""What an installation must have before it may serve others than its own machine."""

from services.gateway.routing.client_address import Network
from shared.errors import InvalidInput
from shared.settings import Settings
from shared.web.server import TlsFiles


def tls_files(settings: Settings) -> TlsFiles | None:
    """The certificate and the key that the gateway shows; None without TLS of its own.

    Raises:
        InvalidInput: only one of the two is set, or one is no file.
    """
    certificate = settings.tls_certificate_file
    key = settings.tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InvalidInput(
            "SENTINELIQ_TLS_CERTIFICATE_FILE and SENTINELIQ_TLS_KEY_FILE go together."
        )
    for path in (certificate, key):
        if not path.is_file():
            raise InvalidInput(f"{path} is no file: TLS needs a certificate and its key.")
    return TlsFiles(certificate, key)


def check_production(settings: Settings) -> None:
    """Refuse to start in production mode where anybody could read the credentials on their way.

    Raises:
        InvalidInput: there is neither TLS nor a trusted proxy, or every address is one.
    """
    if not settings.production:
        return
    if any(_is_everything(network) for network in settings.trusted_proxies):
        raise InvalidInput(
            "SENTINELIQ_TRUSTED_PROXIES names every address: name the proxy's own, or anybody can "
            "say where a request comes from."
        )
    if tls_files(settings) is None and not settings.trusted_proxies:
        raise InvalidInput(
            "In production mode the gateway needs TLS: set SENTINELIQ_TLS_CERTIFICATE_FILE and "
            "SENTINELIQ_TLS_KEY_FILE, or name the proxy that ends TLS before it with "
            "SENTINELIQ_TRUSTED_PROXIES."
        )


def _is_everything(network: Network) -> bool:
    return network.prefixlen == 0
