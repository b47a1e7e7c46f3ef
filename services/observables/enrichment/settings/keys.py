"""Provider keys: sealed in the database, opened only by the worker that uses them."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from services.observables.enrichment.settings.models import EnricherSetting
from shared.crypto import Sealer, places_of
from shared.http.guard import origin_of
from shared.keys import PROVIDER_KEYS, Keys

PURPOSE: Final = PROVIDER_KEYS
"""The purpose that keys are sealed for."""


def seal(keys: Keys, tenant: str, key_id: UUID, key: Mapping[str, str], url: str) -> bytes:
    """A key as it is stored, for the provider's origin alone."""
    text = msgspec.json.encode(key).decode()
    return Sealer(keys, PURPOSE).seal_at(text, _label(tenant, key_id), origin_of(url))


def unseal(keys: Keys, setting: EnricherSetting, url: str, *, is_usual: bool) -> dict[str, str]:
    """The key of a setting; empty where it has none.

    Args:
        keys: of the process.
        setting: holds the sealed key.
        url: the provider's address.
        is_usual: whether that is the provider's own address. Only with it opens a key that an
            earlier version sealed for no origin.

    Raises:
        UnsealError: it was sealed with another secret key of the installation, or for another
            origin.
    """
    if setting.key_id is None or setting.sealed_key is None:
        return {}
    label = _label(setting.tenant, setting.key_id)
    sealer = Sealer(keys, PURPOSE)
    sealed = bytes(setting.sealed_key)
    origin = origin_of(url)
    text = sealer.open_at(sealed, label, origin, accepts_any=is_usual)
    return msgspec.json.decode(text, type=dict[str, str])


def places_of_key(tenant: str, key_id: UUID, urls: Iterable[str]) -> tuple[str, ...]:
    """The places that a stored key may be sealed for, as `Sealer.reseal` takes them.

    Args:
        tenant: the key's.
        key_id: the key's.
        urls: addresses of its provider, the usual one and others.
    """
    label = _label(tenant, key_id)
    places = [place for url in urls for place in places_of(label, origin_of(url))]
    return tuple(dict.fromkeys(places))


def _label(tenant: str, key_id: UUID) -> str:
    return f"{tenant}/{key_id}"
