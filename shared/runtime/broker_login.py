"""The broker's password, which may be replaced while a process runs."""

from typing import Final
from urllib.parse import unquote, urlsplit

from redis import CredentialProvider

from shared.keys import current_url
from shared.settings import Settings, load_settings

_PROVIDER: Final = "shared.runtime.broker_login.BrokerLogin"


class BrokerLogin(CredentialProvider):
    """Gives each new connection the password that is valid at present."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the user, if there is one, and the password."""
        address = urlsplit(current_url(load_settings(), "celery_broker_url"))
        password = unquote(address.password or "")
        return (unquote(address.username), password) if address.username else (password,)


def broker_url(settings: Settings) -> str:
    """Return the broker's address for Celery, whose connections ask for the present password."""
    url = settings.celery_broker_url.get_secret_value()
    address = urlsplit(url)
    # Other brokers know no provider, and a broker without a password needs none.
    if address.scheme not in {"redis", "rediss"} or not address.password or settings.keys is None:
        return url
    query = "&".join(filter(None, (address.query, f"credential_provider={_PROVIDER}")))
    return address._replace(query=query).geturl()
