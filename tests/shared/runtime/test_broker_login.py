"""The broker's password: each new connection asks for the one that is valid at present."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu import Connection
from kombu.utils.imports import symbol_by_name
from pydantic import SecretStr

from shared.keys import FEED_TIMES, DerivedKeys, bundle_json
from shared.runtime.broker_login import BrokerLogin, broker_url
from shared.runtime.celery import make_celery
from shared.settings import Settings, load_settings

ALL = DerivedKeys(SecretStr("one-secret-key-of-more-than-thirty-two-characters"))


def write(path: Path, url: str | None) -> None:
    urls = {} if url is None else {"celery_broker_url": url}
    replacement = path.with_suffix(".new")
    replacement.write_text(bundle_json(ALL.secret(FEED_TIMES), urls))
    replacement.replace(path)


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "keys.json"
    write(path, None)
    for name, value in {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "CELERY_BROKER_URL": "redis://:first@127.0.0.1:1/0",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SENTINELIQ_KEYS": str(path),
        "SENTINELIQ_DATA_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SENTINELIQ_SECRET_KEY", raising=False)
    monkeypatch.setattr("shared.keys._READ_SECONDS", 0.0)
    load_settings.cache_clear()
    yield path
    load_settings.cache_clear()


def test_the_password_is_that_of_the_file_when_it_names_one(key_file: Path) -> None:
    login = BrokerLogin()
    assert login.get_credentials() == ("first",)
    write(key_file, "redis://:second@127.0.0.1:1/0")
    assert login.get_credentials() == ("second",)
    write(key_file, "redis://kim:third@127.0.0.1:1/0")
    assert login.get_credentials() == ("kim", "third")


def test_celerys_connections_ask_for_it(key_file: Path) -> None:
    url = broker_url(load_settings())
    assert urlsplit(url).netloc == ":first@127.0.0.1:1"
    provider = Connection(url).credential_provider
    assert symbol_by_name(provider) is BrokerLogin


def test_a_process_without_a_file_has_its_settings_alone(key_file: Path) -> None:
    parts = dict.fromkeys(("database_url", "kafka_bootstrap_servers"), "x")
    for url, keys in (
        ("redis://127.0.0.1:1/0", json.dumps({"keys": []})),
        ("amqp://:x@127.0.0.1:1/0", json.dumps({"keys": []})),
    ):
        values = {"celery_broker_url": url, "data_dir": ".", "keys": keys, **parts}
        assert broker_url(Settings.model_validate(values)) == url


def test_celery_of_a_service_does_not_read_its_variable_instead(key_file: Path) -> None:
    celery = make_celery("mitre")
    for connection in (celery.connection_for_read(), celery.connection_for_write()):
        assert symbol_by_name(connection.clone().credential_provider) is BrokerLogin
