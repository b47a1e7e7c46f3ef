"""Provider keys: sealed in the database, opened only by the worker that uses them."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec
from pydantic import SecretStr

from services.observables.enrichment.settings.models import EnricherSetting
from shared.crypto import Sealer

PURPOSE: Final = "observables.enrichers"
"""The purpose that keys are sealed for."""


def seal(secret_key: SecretStr, tenant: str, key_id: UUID, key: Mapping[str, str]) -> bytes:
    """A key as it is stored."""
    text = msgspec.json.encode(key).decode()
    return Sealer(secret_key, PURPOSE).seal(text, _label(tenant, key_id))


def unseal(secret_key: SecretStr, setting: EnricherSetting) -> dict[str, str]:
    """The key of a setting; empty where it has none.

    Raises:
        UnsealError: it was sealed with another secret key of the installation.
    """
    if setting.key_id is None or setting.sealed_key is None:
        return {}
    label = _label(setting.tenant, setting.key_id)
    text = Sealer(secret_key, PURPOSE).open(bytes(setting.sealed_key), label)
    return msgspec.json.decode(text, type=dict[str, str])


def _label(tenant: str, key_id: UUID) -> str:
    return f"{tenant}/{key_id}"
