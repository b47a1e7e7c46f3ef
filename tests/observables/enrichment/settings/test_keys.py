"""Keys of providers are for the provider's origin alone."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from services.observables.enrichment.settings.keys import PURPOSE, seal, unseal
from services.observables.enrichment.settings.models import EnricherSetting
from shared.crypto import Sealer, UnsealError
from shared.keys import DerivedKeys

KEYS = DerivedKeys(SecretStr("a-secret-key-for-tests-of-more-than-32-characters"))
KEY = {"key": "of a plan that is paid"}
ID = UUID(int=7)
USUAL = "https://api.provider.example/v2"


def setting(sealed: bytes) -> EnricherSetting:
    return EnricherSetting("acme", "provider", key_id=ID, sealed_key=sealed)


def test_a_key_opens_for_its_origin() -> None:
    stored = setting(seal(KEYS, "acme", ID, KEY, USUAL))
    assert unseal(KEYS, stored, USUAL, is_usual=True) == KEY
    assert unseal(KEYS, stored, "https://api.provider.example/v3", is_usual=False) == KEY


@pytest.mark.parametrize(
    "url", ["https://proxy.example/v2", "http://api.provider.example/v2", f"{USUAL[:-3]}:8443/v2"]
)
def test_a_provider_that_is_pointed_elsewhere_gets_no_key(url: str) -> None:
    stored = setting(seal(KEYS, "acme", ID, KEY, USUAL))
    with pytest.raises(UnsealError, match="Set it anew"):
        unseal(KEYS, stored, url, is_usual=False)


def test_a_key_of_before_opens_for_the_usual_address_only() -> None:
    text = '{"key": "of a plan that is paid"}'
    stored = setting(Sealer(KEYS, PURPOSE).seal(text, f"acme/{ID}"))
    assert unseal(KEYS, stored, USUAL, is_usual=True) == KEY
    with pytest.raises(UnsealError):
        unseal(KEYS, stored, "https://proxy.example/v2", is_usual=False)
