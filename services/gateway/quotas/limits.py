"""How much of the gateway a tenant may use."""

from typing import Final

from shared.quotas import Quota

QUOTAS: Final[tuple[Quota, ...]] = ()
