"""Production mode: no start, and no answer, where credentials could be read on their way."""

import datetime as dt
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.gateway.routing.production import check_production, tls_files
from shared.errors import InvalidInput
from tests.gateway.routing.conftest import RunningGateway, free_port, token
from tests.gateway.routing.gateway_script import gateway_settings

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = (tmp_path / "tls.pem", tmp_path / "tls.key")
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "needs TLS"),
        ({"trusted_proxies": "0.0.0.0/0"}, "every address"),
        ({"trusted_proxies": "::/0"}, "every address"),
        ({"tls_certificate_file": "/nowhere/x.pem"}, "go together"),
        (
            {"tls_certificate_file": "/nowhere/x.pem", "tls_key_file": "/nowhere/x.key"},
            "is no file",
        ),
    ],
)
def test_the_start_is_refused_with_the_reason(changes: dict[str, str], word: str) -> None:
    settings = gateway_settings(1, NOWHERE, production=True, **changes)
    with pytest.raises(InvalidInput, match=word):
        check_production(settings)


def test_a_trusted_proxy_or_a_certificate_is_enough(certificate: tuple[Path, Path]) -> None:
    check_production(gateway_settings(1, NOWHERE, production=True, trusted_proxies="10.0.0.7/32"))
    files = {"tls_certificate_file": certificate[0], "tls_key_file": certificate[1]}
    settings = gateway_settings(1, NOWHERE, production=True, **files)
    check_production(settings)
    assert tls_files(settings) == certificate
    check_production(gateway_settings(1, NOWHERE))


def test_the_process_ends_with_the_reason(tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SENTINELIQ_SECRET_KEY": "x" * 40,
        "SENTINELIQ_DATA_DIR": str(tmp_path),
        "SENTINELIQ_PRODUCTION": "true",
        "SENTINELIQ_API_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "services.gateway", "api"]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "In production mode the gateway needs TLS" in ended.stderr


def test_behind_a_trusted_proxy_only_tls_is_answered(
    new_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = new_gateway(production="true", trusted_proxies="127.0.0.1/32")
    https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5"}
    with gateway.client() as client:
        refused = client.get("/api/feeds/v1/echo")
        assert refused.status_code == 400
        assert "TLS" in refused.json()["title"]
        assert client.get("/healthz").status_code == 200
        answer = client.get("/api/feeds/v1/echo", headers=https)
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        sent = dict(answer.json()["headers"])
        assert (sent["x-forwarded-for"], sent["x-forwarded-proto"]) == ("203.0.113.5", "https")
        for path in ("/docs", "/openapi.json", "/docs/start.js", "/metrics"):
            assert client.get(path, headers=https).status_code == 404, path
            assert client.get(path.replace("d", "%64"), headers=https).status_code == 404, path
    with gateway.client("operator") as client:
        assert client.get("/metrics", headers=https).status_code == 200


def test_documentation_is_shown_when_it_is_wanted(
    new_gateway: Callable[..., RunningGateway],
) -> None:
    settings = {"production": "true", "trusted_proxies": "127.0.0.1/32"}
    gateway = new_gateway(gateway_documentation="true", **settings)
    with gateway.client(None) as client:
        assert client.get("/docs", headers={"X-Forwarded-Proto": "https"}).status_code == 200


def test_its_own_tls_carries_requests(
    certificate: tuple[Path, Path], new_gateway: Callable[..., RunningGateway]
) -> None:
    gateway = new_gateway(
        production="true",
        tls_certificate_file=str(certificate[0]),
        tls_key_file=str(certificate[1]),
    )
    context = ssl.create_default_context(cafile=str(certificate[0]))
    headers = {"Authorization": f"Bearer {token()}"}
    address = f"https://localhost:{gateway.port}"
    with httpx2.Client(verify=context, trust_env=False, headers=headers) as client:
        answer = client.get(f"{address}/api/feeds/v1/echo")
    assert answer.status_code == 200
    assert dict(answer.json()["headers"])["x-forwarded-proto"] == "https"
    assert "strict-transport-security" in answer.headers
