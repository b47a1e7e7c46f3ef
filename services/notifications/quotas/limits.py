"""How much of the notifications service a tenant may use."""

from typing import Final

from services.notifications.quotas import repository
from shared.quotas import Quota

RULES: Final = Quota("rules", 500, "rules", count=repository.count_rules)
CHANNELS: Final = Quota("channels", 100, "channels", count=repository.count_channels)
SILENCES: Final = Quota("silences", 500, "silences", count=repository.count_silences)
WATCHLISTS: Final = Quota("watchlists", 50, "watchlists", count=repository.count_watchlists)
INHIBITIONS: Final = Quota("inhibitions", 50, "inhibitions", count=repository.count_inhibitions)
DIGESTS: Final = Quota("digests", 100, "digests", count=repository.count_digests)

QUOTAS: Final = (RULES, CHANNELS, SILENCES, INHIBITIONS, WATCHLISTS, DIGESTS)
