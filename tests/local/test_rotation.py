"""What a rotation does to the secrets of a folder; `tests/cli/test_rotation.py` runs one."""

import json
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from pydantic import SecretStr

from sentineliq.local import rotation
from sentineliq.local.environment import store_environment
from sentineliq.local.errors import StackError
from sentineliq.local.kafka_logins import login_settings
from sentineliq.local.key_files import read_key_file, stored_urls, write_key_file
from sentineliq.local.rotated_logins import LogLogins
from sentineliq.local.rotation import Rotation, all_keys, open_rotation
from sentineliq.local.secrets import fresh_kafka_logins, load_secrets, store_secrets
from sentineliq.local.valkey import Valkey
from services.feeds.subscriptions.repository import CREDENTIALS
from services.gateway.credentials.repository import ONE_TIME_SECRET
from services.gateway.providers.repository import CLIENT_SECRET
from services.notifications.channels.repository import CHANNEL_SECRET
from services.observables.enrichment.settings.repository import sealed_keys
from services.observables.pushes.repository import sealed_credentials
from shared.keys import (
    EVENTS,
    FEED_TIMES,
    OPERATOR,
    SEALED,
    TOKENS,
    KeyBundle,
    derive_key,
    granted_keys,
)
from shared.settings import SERVICES


def renewed(secrets, token_seconds=100.0, signed_seconds=50.0):
    return rotation._renewed(secrets, token_seconds, signed_seconds)


def test_former_keys_verify_for_a_while_and_open_until_all_is_sealed_anew(tmp_path):
    before = load_secrets(tmp_path)
    after = renewed(before)
    assert after.secret_key != before.secret_key
    former = {key.purpose: key for key in after.former_keys}
    assert {key.kind for key in former.values()} == {"public", "secret"}
    assert former[TOKENS].until == pytest.approx(time.time() + 100, abs=5)
    assert all(former[purpose].until is None for purpose in SEALED)
    assert FEED_TIMES not in former, "nothing depends on it"
    for purpose in SEALED:
        ids = [key.id for key in after.keys.secret(purpose)]
        assert ids == [after.keys.secret(purpose)[0].id, before.keys.secret(purpose)[0].id]
    [new, old] = after.keys.public(TOKENS, OPERATOR)
    assert (new.until, old.id) == (None, before.keys.public(TOKENS, OPERATOR)[0].id)


def test_a_second_rotation_keeps_what_has_not_ended(tmp_path):
    first = load_secrets(tmp_path)
    third = renewed(renewed(first))
    assert len(third.keys.public(TOKENS, OPERATOR)) == 3
    over = renewed(renewed(first, token_seconds=-1.0))
    assert len(over.keys.public(TOKENS, OPERATOR)) == 2
    assert all(len(third.keys.secret(purpose)) == 3 for purpose in SEALED)


def test_secrets_are_stored_with_their_former_keys_and_not_with_former_secrets(tmp_path):
    before = load_secrets(tmp_path)
    after = renewed(before)
    store_secrets(tmp_path, after)
    assert load_secrets(tmp_path) == after
    assert before.secret_key not in (tmp_path / "secrets.json").read_text()


def test_each_key_is_listed_once(tmp_path):
    keys = all_keys(renewed(load_secrets(tmp_path)))
    assert len(keys) == len({key.id for key in keys})
    assert "private" not in {key.kind for key in keys}


def test_a_stack_that_does_not_run_rotates_nothing(tmp_path):
    secrets = load_secrets(tmp_path)
    store_environment(tmp_path, {"SENTINELIQ_SECRET_KEY": secrets.secret_key})
    with pytest.raises(StackError, match="does not run"), open_rotation(tmp_path, print):
        pass
    store_environment(tmp_path, {"SENTINELIQ_SECRET_KEY": "x" * 40})
    with pytest.raises(StackError, match="change it there"), open_rotation(tmp_path, print):
        pass
    assert load_secrets(tmp_path) == secrets


def test_a_rotation_that_was_cut_short_is_finished_before_the_next(tmp_path):
    """The next passwords of Kafka overwrite those before the present ones: none may use these."""
    secrets = load_secrets(tmp_path)
    store_environment(tmp_path, {"SENTINELIQ_SECRET_KEY": secrets.secret_key})
    environment = {"KAFKA_USERNAME": OPERATOR}
    cut_short = rotation.Rotation(tmp_path, environment, secrets, [LogLogins()], print)
    cut_short._write_key_files()
    renewed = replace(secrets, kafka_logins=fresh_kafka_logins(2))
    following = rotation.Rotation(tmp_path, environment, renewed, [LogLogins()], print)
    following._finish_former()
    urls = stored_urls(tmp_path, "feeds")
    assert urls == login_settings(renewed, "feeds")
    assert urls["kafka_sasl_mechanism"] == "SCRAM-SHA-512"


def test_logins_of_kafka_of_an_earlier_version_stay(tmp_path):
    load_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    document = json.loads(path.read_text())
    del document["kafka_logins"]
    path.write_text(json.dumps(document))
    secrets = load_secrets(tmp_path)
    key = derive_key(SecretStr(secrets.kafka_password), "kafka", "feeds")
    settings = login_settings(secrets, "feeds")
    assert settings["kafka_password"] == urlsafe_b64encode(key).decode().rstrip("=")
    assert settings["kafka_sasl_mechanism"] == "SCRAM-SHA-256"
    assert "kafka_logins" in path.read_text()


def test_one_command_at_a_time_replaces_secrets(tmp_path):
    with (
        rotation._alone(tmp_path),
        pytest.raises(StackError, match="another command"),
        rotation._alone(tmp_path),
    ):
        pass


def test_a_server_that_starts_again_takes_the_present_password(tmp_path):
    server = Valkey(tmp_path, 1, "first", lambda: "second")
    server.prepare()
    assert "requirepass second\n" in (tmp_path / "valkey.conf").read_text()


class Killed(BaseException):
    """The command ends here, as after Ctrl-C or the loss of its terminal."""


def refused(files):
    """Who would refuse whose events, with the keys that are in the files at present."""
    keys = {service: KeyBundle(read_key_file(files, service)) for service in SERVICES}
    pairs = []
    for signer, reader in product(SERVICES, SERVICES):
        verifying = {key.id for key in keys[reader].public(EVENTS, signer)}
        if keys[signer].private(EVENTS, signer).id not in verifying:
            pairs.append((signer, reader))
    return pairs


@pytest.mark.parametrize(
    "killed_in", ["store_secrets", "_move_processes", "_replace_owner_password"]
)
def test_a_rotation_after_one_that_was_cut_short_refuses_nothing(tmp_path, monkeypatch, killed_in):
    monkeypatch.setattr(rotation, "MOVE_SECONDS", 0.0)
    monkeypatch.setattr(Rotation, "_await_resealed", lambda _self: 0)

    def open_again():
        stored = load_secrets(tmp_path)
        return Rotation(tmp_path, {"SENTINELIQ_SECRET_KEY": stored.secret_key}, stored, [], str)

    def kill(*_):
        raise Killed

    for service in SERVICES:
        write_key_file(tmp_path, service, granted_keys(service, load_secrets(tmp_path).keys), {})
    with monkeypatch.context() as patch:
        if killed_in == "store_secrets":
            store = rotation.store_secrets
            patch.setattr(rotation, killed_in, lambda *values: (store(*values), kill()))
        else:
            patch.setattr(Rotation, killed_in, kill)
        with pytest.raises(Killed):
            open_again().rotate(3600, at_once=False)
    assert refused(tmp_path) == []
    write = rotation.write_key_file
    looks = []

    def write_and_look(*values):
        write(*values)
        looks.append(refused(tmp_path))

    monkeypatch.setattr(rotation, "write_key_file", write_and_look)
    open_again().rotate(3600, at_once=False)
    assert len(looks) >= 2 * len(SERVICES)
    # As long as the first step lasts, and after it, everybody knows every signature.
    assert looks == [[]] * len(looks)


def test_a_rotation_waits_for_every_column_of_sealed_secrets() -> None:
    columns = {
        ("feeds", CREDENTIALS),
        ("notifications", CHANNEL_SECRET),
        ("observables", sealed_keys(())),
        ("observables", sealed_credentials(())),
        ("gateway", ONE_TIME_SECRET),
        ("gateway", CLIENT_SECRET),
    }
    stored = {(service, column.table.name, column.column) for service, column in columns}
    assert {entry[1:] for entry in rotation.SEALED_COLUMNS} == stored
    definitions = [
        path
        for path in (Path(rotation.__file__).parents[2] / "services").rglob("*.py")
        if re.search(r"\bSealedColumn\(", path.read_text())
    ]
    assert len(definitions) == len(columns), "another column of sealed secrets is missing here"
