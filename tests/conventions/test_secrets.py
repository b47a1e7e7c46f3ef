"""There are no default secrets: in the settings, in compose.yaml, or in what `make env` writes."""

import re
import runpy
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from shared.settings import SERVICES, Settings

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
    assert {"secret_key", "database_url", "celery_broker_url"} <= set(secrets)
    assert all(fields[name].is_required() for name in secrets)
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
        assert set(REQUIRED) <= set(service["environment"]), name


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
    assert set(written) == insisted
    assert all(len(value) >= 32 and re.fullmatch(r"[\w:-]+", value) for value in written.values())
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert program["main"](place) == 1
    assert place.read_text() == first
    assert program["content"]() != first


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
