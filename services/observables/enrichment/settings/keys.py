"""Keys of providers: sealed in the database, opened by the worker that uses them, shown to nobody."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from pydantic import SecretStr

from shared.crypto import Sealer

PURPOSE: Final = "observables.enrichers"
"""What the keys are sealed for."""


def seal(secret_key: SecretStr, tenant: str, key_id: UUID, key: Mapping[str, str]) -> bytes:
    """A key as it is kept."""
    return Sealer(secret_key, PURPOSE).seal(
        msgspec.json.encode(key).decode(), _place(tenant, key_id)
    )


def unseal(secret_key: SecretStr, row: Any) -> dict[str, str]:
    """The key of a setting's row.

    Raises:
        UnsealError: it was sealed under another key of the installation.
    """
    opened = Sealer(secret_key, PURPOSE).open(bytes(row.sealed_key), _place(row.tenant, row.key_id))
    return msgspec.json.decode(opened, type=dict[str, str])


def _place(tenant: str, key_id: UUID) -> str:
    return f"{tenant}/{key_id}"
