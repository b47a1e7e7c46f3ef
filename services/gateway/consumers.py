"""The gateway reads no topic; its consumer process relays its outbox and runs its sweeps."""

from typing import Any, Final

from services.gateway.credentials import second_factor
from services.gateway.providers import service as providers
from shared.kafka.consumer import Subscription
from shared.runtime.sweeps import Sweep
from shared.sealed_rows import RESEAL_SECONDS

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

SWEEPS: Final[list[Sweep]] = [
    Sweep("sealed-codes", RESEAL_SECONDS, second_factor.reseal_secrets),
    Sweep("sealed-providers", RESEAL_SECONDS, providers.reseal_secrets),
]
