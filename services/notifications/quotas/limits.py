"""How much of the notifications service a tenant may use."""

from typing import Final

from services.notifications.quotas import repository
from shared.quotas import Quota

RULES: Final = Quota("rules", 500, "rules", count=repository.count_rules)
CHANNELS: Final = Quota("channels", 100, "channels", count=repository.count_channels)

QUOTAS: Final = (RULES, CHANNELS)
