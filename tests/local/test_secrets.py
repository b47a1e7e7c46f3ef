"""The secrets of a data folder."""

import json

import pytest

from sentineliq.local.errors import StackError
from sentineliq.local.secrets import load_secrets
from shared.settings import SERVICES


def test_secrets_are_made_once_and_private(tmp_path):
    secrets = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == secrets
    assert len({secrets.database_password, secrets.valkey_password, secrets.secret_key}) == 3
    assert len(secrets.secret_key) >= 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert secrets.secret_key not in repr(secrets)


def test_a_folder_of_before_gets_the_logins_that_it_lacks(tmp_path):
    of_before = {"database_password": "d" * 43, "valkey_password": "v" * 43, "secret_key": "s" * 43}
    (tmp_path / "secrets.json").write_text(json.dumps(of_before))
    secrets = load_secrets(tmp_path)
    assert vars(secrets).items() >= of_before.items()
    assert set(secrets.database_logins) == set(SERVICES)
    assert len({login.password for login in secrets.database_logins.values()}) == len(SERVICES)
    assert load_secrets(tmp_path) == secrets
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert not [
        login.password
        for login in secrets.database_logins.values()
        if login.password in repr(login)
    ]


def test_a_file_of_an_earlier_version_gets_what_it_lacks(tmp_path):
    earlier = {"database_password": "a", "valkey_password": "b", "secret_key": "c"}
    (tmp_path / "secrets.json").write_text(json.dumps(earlier))
    secrets = load_secrets(tmp_path)
    assert len(secrets.kafka_password) >= 32
    assert (secrets.database_password, secrets.secret_key) == ("a", "c")
    assert load_secrets(tmp_path) == secrets
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_damaged_secrets_are_an_error_and_stay_as_they_are(tmp_path):
    (tmp_path / "secrets.json").write_text('{"database_password": "x"}')
    with pytest.raises(StackError, match=r"secrets\.json cannot be used"):
        load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == '{"database_password": "x"}'
