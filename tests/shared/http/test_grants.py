"""What an operator grants to a tenant: networks and names, with a port; to nobody else."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.errors import InvalidInput
from shared.http.errors import ForbiddenTarget
from shared.http.guard import OutboundGrant, OutboundPolicy
from shared.http.outbound import outbound_of
from shared.settings import Settings


def settings_with(grants: str) -> Settings:
    return Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        celery_broker_url=SecretStr("redis://127.0.0.1:1/0"),
        kafka_bootstrap_servers="127.0.0.1:1",
        secret_key=SecretStr("k" * 32),
        data_dir=Path("/nowhere"),
        outbound_allow="192.168.7.0/24",
        outbound_grants=grants,
    )


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("10.1.0.0/16", OutboundGrant(ip_network("10.1.0.0/16"))),
        ("10.1.0.7:8443", OutboundGrant(ip_network("10.1.0.7/32"), port=8443)),
        ("fd00::/8", OutboundGrant(ip_network("fd00::/8"))),
        ("[fd00::/8]:443", OutboundGrant(ip_network("fd00::/8"), port=443)),
        ("SIEM.internal:514", OutboundGrant(None, "siem.internal", 514)),
        ("siem.internal", OutboundGrant(None, "siem.internal")),
    ],
)
def test_grants_are_read(text: str, grant: OutboundGrant) -> None:
    assert OutboundGrant.parse(text) == grant


@pytest.mark.parametrize("text", ["10.1.0.0/99", ":443", "siem:0", "siem:70000", "", "a b"])
def test_what_is_no_grant_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ForbiddenTarget)):
        OutboundGrant.parse(text)


def vet(settings: Settings, tenant: str, host: str, port: int, address: str) -> bool:
    try:
        OutboundPolicy(outbound_of(settings, tenant)).vet(host, port, [address])
    except ForbiddenTarget:
        return False
    return True


def test_a_grant_is_one_tenant_s_and_one_port_s() -> None:
    settings = settings_with("acme=10.1.0.0/16:8443, acme=siem.internal:9000, beta=10.2.0.0/16")
    assert vet(settings, "acme", "10.1.2.3", 8443, "10.1.2.3")
    assert not vet(settings, "acme", "10.1.2.3", 443, "10.1.2.3")
    assert not vet(settings, "acme", "10.2.2.3", 443, "10.2.2.3")
    assert not vet(settings, "beta", "10.1.2.3", 8443, "10.1.2.3")
    assert vet(settings, "beta", "10.2.2.3", 4711, "10.2.2.3")
    assert vet(settings, "acme", "siem.internal", 9000, "10.9.9.9"), "whatever it resolves to"
    assert not vet(settings, "acme", "other.internal", 9000, "10.9.9.9")
    assert vet(settings, "gamma", "192.168.7.1", 5000, "192.168.7.1"), "the platform's own network"
    assert not vet(settings, "gamma", "10.1.2.3", 8443, "10.1.2.3")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"),
        *("169.254.169.254", "fe80::1"),
        "0.0.0.0",  # noqa: S104  # it is refused
    ],
)
def test_a_grant_of_a_name_never_leads_to_this_machine_or_its_link(address: str) -> None:
    assert not vet(settings_with("acme=siem.internal:9000"), "acme", "siem.internal", 9000, address)
    granted = settings_with("acme=127.0.0.1:9000")
    assert vet(granted, "acme", "127.0.0.1", 9000, "127.0.0.1"), "a network can be granted"


@pytest.mark.parametrize("text", ["10.1.0.0/16", "Acme=10.1.0.0/16", "acme=", "*=10.0.0.0/8"])
def test_a_setting_without_a_tenant_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        settings_with(text)


def test_a_grant_that_cannot_be_read_names_its_setting() -> None:
    with pytest.raises(InvalidInput, match="SENTINELIQ_OUTBOUND_GRANTS"):
        outbound_of(settings_with("acme=10.1.0.0/99"), "acme")
