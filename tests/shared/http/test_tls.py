"""TLS: always verified, by name, and client certificates stay at home."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.http import ForbiddenTarget, GuardedClient, Limits, TimedOut, Unreachable, Untrusted

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

LOOPBACK = (ip_network("127.0.0.0/8"),)
LIMITS = Limits(connect=2.0, total=3.0)


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign("authority", self._key, self._key, None)
        self.file = self._write(
            "authority", self._certificate.public_bytes(serialization.Encoding.PEM)
        )

    def issue(self, name, days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        plain = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self._sign(name, key, self._key, self._certificate, days)
        return self._write(name, certificate.public_bytes(pem)), self._write(f"{name}.key", plain)

    def _sign(self, name, key, by, issuer, days=1):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        ski = x509.SubjectKeyIdentifier.from_public_key
        builder = (
            x509.CertificateBuilder(
                subject_name=subject, issuer_name=issuer.subject if issuer else subject
            )
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(
                x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True
            )
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(ski(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
            )
        )
        return builder.sign(by, hashes.SHA256())

    def _write(self, name, content):
        path = self._folder / f"{name}.pem"
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def server_side(authority, name="feed.example", *, days=1, ask=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, days))
    if ask:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(authority.file)
    return context


async def loopback(host, port):
    return ["127.0.0.1"]


async def test_the_name_is_verified_over_the_pinned_address(http, authority):
    async with (
        http.Server(http.answer(b"ok"), tls=server_side(authority)) as server,
        GuardedClient(LOOPBACK, LIMITS, loopback, ca=authority.file) as client,
    ):
        assert (await client.request("GET", server.url(host="feed.example"))).content == b"ok"
        with pytest.raises(Untrusted, match=r"Hostname mismatch.*other\.example") as caught:
            await client.request("GET", server.url("/?key=secret", host="other.example"))
    assert (caught.value.retryable, "secret" in caught.value.message) == (False, False)


@pytest.mark.parametrize(
    ("trusted", "days"), [(False, 1), (True, -1)], ids=["unknown authority", "expired"]
)
async def test_a_certificate_that_does_not_verify_is_refused(http, authority, trusted, days):
    async with http.Server(http.answer(b"ok"), tls=server_side(authority, days=days)) as server:
        ca = authority.file if trusted else None
        async with GuardedClient(LOOPBACK, LIMITS, loopback, ca=ca) as client:
            with pytest.raises(Untrusted, match=r"certificate of https://feed\.example"):
                await client.request("GET", server.url(host="feed.example"))
        assert not server.requests


async def test_a_server_without_tls_is_unreachable_over_https(http):
    async with (
        http.Server(http.answer(b"ok")) as server,
        GuardedClient(LOOPBACK, Limits(connect=0.3), loopback) as client,
    ):
        with pytest.raises((Unreachable, TimedOut)):
            await client.request("GET", f"https://feed.example:{server.port}/")


async def test_a_downgrade_is_refused(http, authority):
    async with http.Server(http.answer(b"plain")) as plain:
        tls = server_side(authority)
        async with (
            http.Server(http.redirect(plain.url()), tls=tls) as server,
            GuardedClient(LOOPBACK, LIMITS, loopback, ca=authority.file) as client,
        ):
            with pytest.raises(ForbiddenTarget, match="from https to http"):
                await client.request("GET", server.url(host="feed.example"))
    assert plain.connections == 0


async def test_a_client_certificate_is_shown_at_home_only(http, authority):
    async def tell_certificate(head, writer):
        shown = bool(writer.get_extra_info("ssl_object").getpeercert())
        there = b"GET /there" in head
        writer.write(
            http.redirect(other.url(host="mirror.example")) if there else http.answer(b"%d" % shown)
        )

    home = server_side(authority, ask=True)
    away = server_side(authority, "mirror.example", ask=True)
    async with (
        http.Server(tell_certificate, tls=home) as server,
        http.Server(tell_certificate, tls=away) as other,
    ):
        certificate = authority.issue("client")
        async with GuardedClient(
            LOOPBACK, LIMITS, loopback, ca=authority.file, certificate=certificate
        ) as client:
            assert (await client.request("GET", server.url(host="feed.example"))).content == b"1"
            response = await client.request("GET", server.url("/there", host="feed.example"))
            assert (response.content, response.url) == (b"0", other.url(host="mirror.example"))


async def test_a_client_certificate_is_shown_to_its_own_origin_only(http, authority):
    async def tell_certificate(head, writer):
        shown = bool(writer.get_extra_info("ssl_object").getpeercert())
        writer.write(http.answer(b"%d" % shown))

    own = server_side(authority, ask=True)
    away = server_side(authority, "mirror.example", ask=True)
    async with (
        http.Server(tell_certificate, tls=own) as server,
        http.Server(tell_certificate, tls=away) as other,
        GuardedClient(
            LOOPBACK,
            LIMITS,
            loopback,
            ca=authority.file,
            certificate=authority.issue("client"),
            home=f"https://feed.example:{server.port}",
        ) as client,
    ):
        assert (await client.request("GET", server.url(host="feed.example"))).content == b"1"
        assert (await client.request("GET", other.url(host="mirror.example"))).content == b"0"
