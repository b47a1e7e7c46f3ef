"""Clients of Kafka log in with the login that is valid when they connect.

A login may be replaced while a process runs. aiokafka keeps the password that a client was made
with for all connections that it opens later; a `PresentPassword` is read anew for each of them.
"""

from typing import Any, Final, Self

from aiokafka import client

from shared.keys import current_login
from shared.settings import Settings


class PresentPassword(str):
    """The password of this process's login, which knows how to read the present one.

    Args:
        settings: of the process.
    """

    __slots__ = ("settings",)

    settings: Settings

    def __new__(cls, settings: Settings) -> Self:
        """Read the password that is valid now."""
        password = super().__new__(cls, current_login(settings).password)
        password.settings = settings
        return password


_connect: Final = client.create_conn


async def _connect_with_present_login(*arguments: Any, **options: Any) -> Any:
    """Open a connection as aiokafka does, with the login that is valid now."""
    password = options.get("sasl_plain_password")
    if isinstance(password, PresentPassword):
        login = current_login(password.settings)
        options |= {"sasl_mechanism": login.mechanism, "sasl_plain_password": login.password}
    return await _connect(*arguments, **options)


def log_in_anew() -> None:
    """Let all clients of this process ask for their login at each connection."""
    client.create_conn = _connect_with_present_login
