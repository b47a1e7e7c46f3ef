"""There are no default secrets: in the settings, in compose.yaml, or in what `make env` writes."""

import json
import re
import runpy
import stat
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from shared.keys import DerivedKeys, bundle_json, granted_keys
from shared.settings import SERVICES, ServiceName, Settings

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "DATABASE_URL": "postgresql://somebody@127.0.0.1:1/none",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "SENTINELIQ_SECRET_KEY": "of a length that is just enough.",
    "SENTINELIQ_DATA_DIR": "somewhere",
}
INTERPOLATION = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<operator>:\?|:-)(?P<word>[^}]*)\}")
SECRET_NAMES = re.compile(r"PASSWORD|SECRET|BASIC_AUTH|[A-Z]+CLI_AUTH")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with nothing but what is required."""
    for name in Settings.model_fields:
        for variable in (name.upper(), f"SENTINELIQ_{name.upper()}"):
            monkeypatch.delenv(variable, raising=False)
    for variable, value in REQUIRED.items():
        monkeypatch.setenv(variable, value)
    return monkeypatch


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def test_the_required_variables_are_enough(alone: pytest.MonkeyPatch) -> None:
    assert Settings().data_dir == Path("somewhere")


@pytest.mark.parametrize("missing", REQUIRED)
def test_nothing_starts_without_a_required_variable(
    alone: pytest.MonkeyPatch, missing: str
) -> None:
    alone.delenv(missing)
    with pytest.raises(
        ValidationError, match=f"(?i){missing.removeprefix('SENTINELIQ_')}"
    ) as error:
        Settings()
    assert error.value.error_count() == 1


def test_a_short_secret_key_is_refused(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("SENTINELIQ_SECRET_KEY", "x" * 31)
    with pytest.raises(ValidationError, match="secret_key"):
        Settings()


def test_secrets_have_no_default_and_no_other_type() -> None:
    fields = Settings.model_fields
    secrets = [name for name, field in fields.items() if field.annotation is SecretStr]
    optional = [name for name, field in fields.items() if field.annotation == SecretStr | None]
    assert {"database_url", "celery_broker_url"} == set(secrets)
    assert all(fields[name].is_required() for name in secrets)
    # One of two is required: see `test_nothing_starts_without_a_required_variable`.
    assert {
        "secret_key",
        "keys",
        "service_database_url",
        "kafka_password",
        "flower_basic_auth",
    } == set(optional)
    assert all(fields[name].default is None for name in optional)
    secrets += optional
    telling = [name for name in fields if re.search(r"secret|password|token|api_key", name)]
    assert set(telling) <= set(secrets)


def test_compose_sets_every_required_variable_of_our_processes() -> None:
    processes = {
        name: definition
        for name, definition in compose()["services"].items()
        if name.partition("-")[0] in SERVICES
    }
    assert len(processes) == 4 * len(SERVICES) + len({"scheduler-beat", "observables-trends"})
    for name, service in processes.items():
        required = set(REQUIRED) - {"SENTINELIQ_SECRET_KEY"} | {"SENTINELIQ_KEYS"}
        assert required <= set(service["environment"]), name
        assert "SENTINELIQ_SECRET_KEY" not in service["environment"], "it makes tokens"


def test_compose_has_no_secret_of_its_own() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service["environment"].items():
            if SECRET_NAMES.search(variable):
                match = INTERPOLATION.fullmatch(value)
                assert match, f"{name}: {variable} is written down"
                assert match["operator"] == ":?", f"{name}: {variable} has a default"
            credentials = re.search(
                r"://[^/@]*:([^/@]*)@", INTERPOLATION.sub("<given>", str(value))
            )
            assert credentials is None or credentials[1] == "<given>", f"{name}: {variable}"


def test_make_env_gives_every_secret_that_compose_insists_on(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    insisted = {
        match["name"] for match in INTERPOLATION.finditer(text) if match["operator"] == ":?"
    }
    program = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))
    place = tmp_path / ".env"
    assert program["main"](place) == 0
    first = place.read_text()
    written = dict(line.split("=", 1) for line in first.splitlines())
    assert set(written) == insisted | {"SENTINELIQ_SECRET_KEY"}, "the command line's alone"
    assert all(len(value) >= 32 and re.fullmatch(r"[\w:-]+", value) for value in written.values())
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert program["main"](place) == 1
    assert place.read_text() == first
    assert program["content"]() != first


@pytest.mark.parametrize("service", SERVICES)
def test_make_env_derives_the_keys_that_a_service_needs(service: ServiceName) -> None:
    program = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))
    for secret in ("x" * 32, "another-secret-key-of-more-than-32-characters"):
        text = program["bundles"](secret)[f"{service.upper()}_KEYS"]
        bundle = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        expected = bundle_json(granted_keys(service, DerivedKeys(SecretStr(secret))))
        assert bundle == json.loads(expected)


def test_make_env_derives_the_keys_of_the_secret_that_is_there(tmp_path: Path) -> None:
    program = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))
    place = tmp_path / ".env"
    place.write_text(f"SENTINELIQ_SECRET_KEY={'x' * 40}\n")
    assert program["main"](place) == 0
    written = dict(line.split("=", 1) for line in place.read_text().splitlines())
    assert written.items() >= program["bundles"]("x" * 40).items()


def test_make_env_adds_what_a_newer_version_needs(tmp_path: Path) -> None:
    program = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))
    place = tmp_path / ".env"
    of_before = "# ours\nPOSTGRES_PASSWORD=as-it-was\nSENTINELIQ_LOG_LEVEL=DEBUG"
    place.write_text(of_before)
    assert program["main"](place) == 0
    lines = place.read_text().splitlines()
    assert lines[:3] == of_before.splitlines()
    written = dict(line.split("=", 1) for line in lines[1:])
    assert written["POSTGRES_PASSWORD"] == "as-it-was"
    assert len(written["FEEDS_DATABASE_PASSWORD"]) >= 32
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert program["main"](place) == 1
