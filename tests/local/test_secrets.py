"""The secrets of a data folder."""

import pytest

from sentineliq.local.errors import StackError
from sentineliq.local.secrets import load_secrets


def test_secrets_are_made_once_and_private(tmp_path):
    secrets = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == secrets
    assert len({secrets.database_password, secrets.valkey_password, secrets.secret_key}) == 3
    assert len(secrets.secret_key) >= 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert secrets.secret_key not in repr(secrets)


def test_damaged_secrets_are_an_error_and_stay_as_they_are(tmp_path):
    (tmp_path / "secrets.json").write_text('{"database_password": "x"}')
    with pytest.raises(StackError, match=r"secrets\.json cannot be used"):
        load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == '{"database_password": "x"}'
