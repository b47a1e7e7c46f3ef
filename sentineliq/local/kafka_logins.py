"""The passwords of Kafka's logins, derived from one secret.

Kafka keeps a password of each login for each mechanism of SCRAM. The generations of the secret take
turns at the two mechanisms, so that a login has its present password and its next one at once.
"""

from base64 import urlsafe_b64encode

from pydantic import SecretStr

from sentineliq.local.kafka import KafkaLogins
from sentineliq.local.secrets import Secrets
from shared.kafka.logins import MECHANISMS
from shared.kafka.rights import LOGINS
from shared.keys import derive_key


def present_logins(stored: Secrets) -> KafkaLogins:
    """The logins that processes use."""
    secret = SecretStr(stored.kafka_logins.password)
    mechanism = MECHANISMS[(stored.kafka_logins.generation - 1) % len(MECHANISMS)]
    return KafkaLogins(mechanism, {login: _password(secret, login) for login in LOGINS})


def login_settings(stored: Secrets, login: str) -> dict[str, str]:
    """The settings of a login, by their names."""
    logins = present_logins(stored)
    return {
        "kafka_username": login,
        "kafka_sasl_mechanism": logins.mechanism,
        "kafka_password": logins.passwords[login],
    }


def _password(secret: SecretStr, login: str) -> str:
    return urlsafe_b64encode(derive_key(secret, "kafka", login)).decode().rstrip("=")
