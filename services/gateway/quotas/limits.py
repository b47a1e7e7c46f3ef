"""How much of the gateway a tenant may use."""

from typing import Final

from services.gateway.quotas import repository
from shared.quotas import Quota

API_KEYS: Final = Quota("api-keys", 500, "API keys", count=repository.count_api_keys)
INVITATIONS: Final = Quota("invitations", 200, "invitations", count=repository.count_invitations)
PROVIDERS: Final = Quota("providers", 20, "providers", count=repository.count_providers)

QUOTAS: Final = (API_KEYS, INVITATIONS, PROVIDERS)
