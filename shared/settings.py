"""The settings of every process, read once from the environment. Secrets have no defaults."""

from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.service_names import SERVICES, ServiceName
from shared.tenants import is_tenant

__all__ = ["SERVICES", "ServiceName", "Settings", "load_settings"]


def _plain(name: str) -> AliasChoices:
    """Accept a variable's common name, which other tools use, beside the prefixed one."""
    return AliasChoices(name, f"SENTINELIQ_{name}")


class Settings(BaseSettings):
    """A process's settings; the README describes them in its configuration table."""

    model_config = SettingsConfigDict(
        env_prefix="SENTINELIQ_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
    )

    database_url: SecretStr = Field(validation_alias=_plain("DATABASE_URL"))
    service_database_url: SecretStr | None = None
    celery_broker_url: SecretStr = Field(validation_alias=_plain("CELERY_BROKER_URL"))
    kafka_bootstrap_servers: str = Field(validation_alias=_plain("KAFKA_BOOTSTRAP_SERVERS"))
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", validation_alias=_plain("KAFKA_SECURITY_PROTOCOL")
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = Field(
        "SCRAM-SHA-256", validation_alias=_plain("KAFKA_SASL_MECHANISM")
    )
    kafka_username: str | None = Field(None, validation_alias=_plain("KAFKA_USERNAME"))
    kafka_password: SecretStr | None = Field(None, validation_alias=_plain("KAFKA_PASSWORD"))
    kafka_ca_file: Path | None = Field(None, validation_alias=_plain("KAFKA_CA_FILE"))
    secret_key: SecretStr | None = Field(None, min_length=32)
    keys: SecretStr | None = None
    data_dir: Path

    kafka_topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]*$")
    kafka_partitions: int = Field(4, ge=1, le=1024)
    kafka_replication_factor: int = Field(1, ge=1, le=7)
    outbox_keep_hours: float = Field(6, ge=0, le=168)
    database_pool_size: int = Field(4, ge=1, le=100)
    worker_concurrency: int | None = Field(None, ge=1, le=256)
    outbound_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    outbound_grants: Annotated[dict[str, tuple[str, ...]], NoDecode] = Field(default_factory=dict)
    enricher_urls: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=0, le=65535)
    document_memory_mib: int = Field(1024, ge=64, le=65_536)
    document_seconds: float = Field(300, gt=0, le=14_400)
    preview_seconds: float = Field(20, gt=0, le=600)
    api_connections: int = Field(1024, ge=16, le=65535)
    api_connections_per_peer: int = Field(512, ge=16, le=65535)
    api_rate: float = Field(1000, ge=0, le=1_000_000)
    feed_check_days: int = Field(7, ge=0, le=365)
    reference_data: Literal["daily", "off"] = "daily"
    retention_days: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    quotas: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    probe_port: int | None = Field(None, ge=0, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    feeds_url: str = "http://127.0.0.1:8001"
    observables_url: str = "http://127.0.0.1:8002"
    notifications_url: str = "http://127.0.0.1:8003"
    mitre_url: str = "http://127.0.0.1:8004"
    scheduler_url: str = "http://127.0.0.1:8005"
    gateway_url: str = "http://127.0.0.1:8000"
    flower_url: str | None = None
    flower_basic_auth: SecretStr | None = Field(None, validation_alias=_plain("FLOWER_BASIC_AUTH"))

    production: bool = False
    gateway_addresses: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    notification_folder: Path | None = None
    public_url: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    gateway_documentation: bool = False
    gateway_answer_seconds: float = Field(75, gt=0, le=3600)
    gateway_piece_seconds: float = Field(120, gt=0, le=3600)
    gateway_body_bytes: int = Field(1024 * 1024 * 1024, ge=1024, le=2**40)

    @model_validator(mode="after")
    def _require_keys(self) -> Self:
        if self.secret_key is None and self.keys is None:
            raise ValueError("secret_key or keys: set one of them; they have no default")
        return self

    @field_validator("outbound_allow", "trusted_proxies", "gateway_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("outbound_grants", mode="before")
    @classmethod
    def _grants(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        grants: dict[str, tuple[str, ...]] = {}
        for part in filter(None, map(str.strip, value.split(","))):
            tenant, separator, target = part.partition("=")
            if not separator or not is_tenant(tenant.strip()) or not target.strip():
                raise ValueError(f"{part}: write <tenant>=<network or name>[:<port>]")
            name = tenant.strip()
            grants[name] = (*grants.get(name, ()), target.strip())
        return grants

    @field_validator("enricher_urls", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): url.strip().rstrip("/") for name, _, url in pairs}

    @field_validator("retention_days", mode="before")
    @classmethod
    def _days(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        for name, _, days in pairs:
            if name.partition(".")[0] not in SERVICES or not days.strip().isdecimal():
                raise ValueError(f"{name}: write <service>.<table>=<days>")
        return {name.strip(): int(days) for name, _, days in pairs}

    @model_validator(mode="after")
    def _require_login(self) -> "Settings":
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_username and self.kafka_password
        ):
            raise ValueError("KAFKA_USERNAME and KAFKA_PASSWORD go with KAFKA_SECURITY_PROTOCOL")
        return self

    @field_validator("quotas", mode="before")
    @classmethod
    def _limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        for name, _, limit in pairs:
            if not limit.strip().isdecimal():
                raise ValueError(f"{name}: write <quota>=<number>")
        return {name.strip(): int(limit) for name, _, limit in pairs}

    def service_url(self, service: str) -> str:
        """Return the base URL of a service's API."""
        return str(getattr(self, f"{service}_url")).rstrip("/")


@cache
def load_settings() -> Settings:
    """Return this process's settings.

    Raises:
        pydantic.ValidationError: a required variable is missing or wrong; the message names it.
    """
    return Settings()  # type: ignore[call-arg]  # the values come from the environment
