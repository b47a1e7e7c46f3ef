"""Derived keys: one per purpose and owner, the same at each start."""

import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.kafka.present_login import current_login
from shared.keys import (
    FEED_CREDENTIALS,
    FEED_TIMES,
    SEALED,
    SECRET_PURPOSES,
    DerivedKeys,
    Key,
    KeyBundle,
    KeyFile,
    MissingKey,
    bundle_json,
    derive_key,
    granted_keys,
    keys_of,
)
from shared.settings import SERVICES, ServiceName, Settings

SECRET = SecretStr("one-secret-key-of-more-than-thirty-two-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")
ALL = DerivedKeys(SECRET)


def test_a_key_is_the_same_each_time() -> None:
    assert derive_key(SECRET, "events", "feeds") == derive_key(SECRET, "events", "feeds")


def test_no_two_purposes_owners_or_secrets_share_a_key() -> None:
    keys = [
        derive_key(secret, purpose, owner)
        for secret in (SECRET, OTHER)
        for purpose in ("events", "tasks")
        for owner in ("feeds", "mitre")
    ]
    assert all(first != second for first, second in combinations(keys, 2))
    assert {len(key) for key in keys} == {32}


def former(key: Key, seconds: float) -> Key:
    return replace(key, until=time.time() + seconds)


def test_the_halves_of_a_key_have_one_name_which_tells_nothing_of_it() -> None:
    private = ALL.private("events", "feeds")
    public = ALL.public("events", "feeds")[0]
    assert private.public() == public
    assert private.id == public.id
    assert private.id not in (private.material.hex(), SECRET.get_secret_value())
    assert len({ALL.private("events", name).id for name in SERVICES}) == len(SERVICES)


def test_no_key_is_shown() -> None:
    for key in (ALL.private("events", "feeds"), *ALL.secret(FEED_TIMES)):
        assert str(key.material) not in repr(key)


def test_a_bundle_has_what_is_put_in_and_nothing_else() -> None:
    bundle = KeyBundle.from_json(bundle_json(ALL.secret(FEED_CREDENTIALS)))
    assert bundle.secret(FEED_CREDENTIALS) == ALL.secret(FEED_CREDENTIALS)
    with pytest.raises(MissingKey):
        bundle.secret(FEED_TIMES)
    with pytest.raises(MissingKey):
        bundle.private("events", "feeds")
    assert bundle.public("events", "feeds") == ()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": [{}]}', '{"keys": 1}', "{"])
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no bundle"):
        KeyBundle.from_json(text)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_key_of_another(service: ServiceName) -> None:
    granted = granted_keys(service, ALL)
    own = [key for key in granted if key.kind != "public"]
    assert {key.owner for key in own} <= {service}
    materials = {key.material for key in own}
    for other in SERVICES:
        if other != service:
            others = {key.material for key in granted_keys(other, ALL) if key.kind != "public"}
            assert not materials & others
    assert SECRET.get_secret_value() not in bundle_json(granted)


def test_every_key_that_seals_belongs_to_a_service() -> None:
    granted = [purpose for purposes in SECRET_PURPOSES.values() for purpose in purposes]
    assert set(SEALED) <= set(granted)
    assert len(granted) == len(set(granted))
    for service, purposes in SECRET_PURPOSES.items():
        assert all(purpose.startswith(f"{service}.") for purpose in purposes)


def test_former_keys_are_valid_beside_the_present_one_until_they_end() -> None:
    before = DerivedKeys(OTHER)
    lasting = former(before.public("events", "feeds")[0], 60)
    over = former(before.public("events", "mitre")[0], -1)
    keys = DerivedKeys(SECRET, [lasting, over], since=1.0)
    for process in (keys, KeyBundle([*keys.public("events", "feeds"), lasting, over])):
        assert (
            process.public("events", "feeds")[0].material
            == ALL.public("events", "feeds")[0].material
        )
        assert lasting in process.public("events", "feeds")
        assert over not in process.public("events", "mitre")


def test_a_file_is_read_again_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(bundle_json(ALL.secret(FEED_TIMES)))
    keys = KeyFile(path)
    assert keys.secret(FEED_TIMES) == ALL.secret(FEED_TIMES)
    renewed = DerivedKeys(OTHER).secret(FEED_TIMES)
    replacement = tmp_path / "new"
    replacement.write_text(bundle_json(renewed))
    replacement.replace(path)
    monkeypatch.setattr("shared.keys._READ_SECONDS", 0.0)
    assert keys.secret(FEED_TIMES) == renewed
    path.unlink()
    assert keys.secret(FEED_TIMES) == renewed, "a missing file revokes nothing"


def settings_with(**values: str) -> Settings:
    parts = dict.fromkeys(("database_url", "celery_broker_url", "kafka_bootstrap_servers"), "x")
    return Settings.model_validate({"data_dir": ".", **parts, **values})


def test_the_setting_is_a_bundle_or_its_file_and_the_secret_goes_first(tmp_path: Path) -> None:
    text = bundle_json(ALL.secret(FEED_TIMES))
    path = tmp_path / "keys.json"
    path.write_text(text)
    for value in (text, urlsafe_b64encode(text.encode()).decode().rstrip("="), str(path)):
        keys = keys_of(settings_with(keys=value))
        assert keys.secret(FEED_TIMES) == ALL.secret(FEED_TIMES)
    both = settings_with(keys=text, secret_key=SECRET.get_secret_value())
    assert keys_of(both).private("events", "feeds")
    with pytest.raises(ValidationError, match="secret_key or keys"):
        settings_with()


def test_the_file_replaces_the_login_that_it_names_and_no_other(tmp_path: Path) -> None:
    """A process that migrates has the file of its service, and the administrator's login."""
    path = tmp_path / "feeds.json"
    login = {
        "kafka_username": "feeds",
        "kafka_sasl_mechanism": "SCRAM-SHA-512",
        "kafka_password": "the present one",
    }
    path.write_text(bundle_json(granted_keys("feeds", ALL), login))
    for username, expected in (
        ("feeds", ("SCRAM-SHA-512", "the present one")),
        ("admin", ("SCRAM-SHA-256", "of its environment")),
    ):
        settings = Settings(
            database_url=SecretStr("x"),
            celery_broker_url=SecretStr("x"),
            kafka_bootstrap_servers="x",
            data_dir=tmp_path,
            keys=SecretStr(str(path)),
            kafka_username=username,
            kafka_password=SecretStr("of its environment"),
        )
        assert current_login(settings) == expected
