"""The topic that the mitre service reads, and its sweeps."""

from typing import Any, Final

from services.mitre.imports.service import reconcile
from shared.events.gateway import REVOKED
from shared.kafka.consumer import Subscription
from shared.revocations import apply_revocations
from shared.runtime.sweeps import Sweep

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [Subscription(REVOKED, apply_revocations)]

SWEEPS: Final = [Sweep("waiting-imports", 10.0, reconcile)]
