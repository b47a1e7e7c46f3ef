"""Credentials of pushes: sealed for their row and their target, opened by the worker alone."""

from typing import Any
from uuid import UUID

from services.observables.pushes.targets.base import PushTarget
from shared.crypto import Sealer, places_of
from shared.keys import PROVIDER_KEYS, Keys


def seal(keys: Keys, push_id: UUID, target: PushTarget, config: Any, secrets: Any) -> bytes:
    """Credentials as they are stored."""
    text = secrets.model_dump_json(exclude_none=True)
    return Sealer(keys, PROVIDER_KEYS).seal_at(text, _label(push_id), target.place_of(config))


def unseal(keys: Keys, push_id: UUID, target: PushTarget, config: Any, sealed: bytes | None) -> Any:
    """Credentials as the target's model of them; empty if there are none.

    Raises:
        UnsealError: they were sealed with another secret, or for another target.
    """
    if sealed is None:
        return target.credentials()
    sealer = Sealer(keys, PROVIDER_KEYS)
    text = sealer.open_at(sealed, _label(push_id), target.place_of(config), accepts_any=False)
    return target.credentials.model_validate_json(text)


def places_of_credentials(push_id: UUID, target: PushTarget, config: Any) -> tuple[str, ...]:
    """The places that credentials may be sealed for, as `Sealer.reseal` takes them."""
    return places_of(_label(push_id), target.place_of(config))


def _label(push_id: UUID) -> str:
    return f"push/{push_id}"
