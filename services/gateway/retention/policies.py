"""The retention of the gateway's tables."""

from typing import Final

from shared.retention import INFRASTRUCTURE, QUOTAS

POLICIES: Final = (*INFRASTRUCTURE, *QUOTAS)
