"""Clients of Kafka log in with the login that is valid when they connect.

A login may be replaced while a process runs. aiokafka keeps the password that a client was made
with for all connections that it opens later; a `PresentPassword` is read anew for each of them.
"""

from typing import Any, Final, NamedTuple, Self

from aiokafka import client

from shared.keys import KeyFile, keys_of
from shared.settings import Settings


class KafkaLogin(NamedTuple):
    """How a process proves to Kafka who it is.

    Attributes:
        mechanism: of SASL.
        password: of the login.
    """

    mechanism: str
    password: str


def current_login(settings: Settings) -> KafkaLogin:
    """Return what is valid at present for the process's login of Kafka.

    Args:
        settings: of the process, which has a password of Kafka.
    """
    keys = keys_of(settings)
    # A process that migrates has another login than its service.
    if isinstance(keys, KeyFile) and keys.url("kafka_username") == settings.kafka_username:
        password = keys.url("kafka_password")
        mechanism = keys.url("kafka_sasl_mechanism")
        if password and mechanism:
            return KafkaLogin(mechanism, password)
    assert settings.kafka_password is not None  # noqa: S101  # the settings require it with SASL
    return KafkaLogin(settings.kafka_sasl_mechanism, settings.kafka_password.get_secret_value())


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
