"""An identity provider on the loopback that says what a test wants it to say."""

import hashlib
import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey

CLIENT_ID = "sentineliq"
CLIENT_SECRET = "a secret: with / signs"
Json = dict[str, Any]


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def half_hash(text: str) -> str:
    return encode(hashlib.sha256(text.encode()).digest()[:16])


def unsigned(header: Json, claims: object, signature: str = "") -> str:
    parts = [encode(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, signature])


def signed(header: Json, claims: object, key: RSAKey) -> str:
    """Sign with RS256, whatever the header says: no library would write some of them."""
    content = unsigned(header, claims).removesuffix(".")
    private = key.get_op_key("sign")
    return f"{content}.{encode(private.sign(content.encode(), PKCS1v15(), SHA256()))}"


def leave(*_: Json) -> None:
    """Change nothing."""


@dataclass
class HostileProvider:
    """A provider, honest until a test changes it.

    Attributes:
        issuer: its address.
        claims: what it says of the person besides what the protocol asks for.
        forge: makes the ID token of a header and claims; None signs them.
        change: changes header and claims before that.
        description: changes of its description.
        key: that it signs with.
        forms: what the token endpoint was sent.
    """

    issuer: str = ""
    claims: Json = field(default_factory=lambda: {"sub": "kim", "groups": ["soc"], "name": "Kim"})
    forge: Callable[[Json, Json], str] | None = None
    change: Callable[[Json, Json], object] = leave
    description: Json = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}))
    nonce: str = ""
    challenge: str = ""
    forms: list[Json] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)

    def authorize(self, query: Json) -> str:
        """Note what a browser brings; return a code."""
        self.nonce = query["nonce"]
        self.challenge = query["code_challenge"]
        code = f"code-{len(self.forms)}-{time.monotonic_ns()}"
        self.codes.add(code)
        return code

    def describe(self) -> Json:
        """Its description."""
        endpoint = self.issuer
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{endpoint}/authorize",
            "token_endpoint": f"{endpoint}/token",
            "jwks_uri": f"{endpoint}/keys",
            "authorization_response_iss_parameter_supported": True,
            **self.description,
        }

    def give_tokens(self, form: Json, authorization: str) -> tuple[int, Json]:
        """Exchange a code, once, with the verifier of its challenge."""
        self.forms.append(form)
        pair = b64decode(authorization.removeprefix("Basic ")).decode()
        verifier = form.get("code_verifier", "").encode()
        is_verified = encode(hashlib.sha256(verifier).digest()) == self.challenge
        is_client = pair == f"{CLIENT_ID}:a%20secret%3A%20with%20%2F%20signs"
        if form.get("code") not in self.codes or not is_verified or not is_client:
            return 400, {"error": "invalid_grant"}
        self.codes.discard(form["code"])
        tokens = {"access_token": "the-access-token", "token_type": "Bearer"}
        tokens["id_token"] = self.sign(self.id_claims())
        return 200, tokens

    def id_claims(self) -> Json:
        """The claims of an ID token of now."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "at_hash": half_hash("the-access-token"),
            **self.claims,
        }

    def sign(self, claims: Json) -> str:
        """Make a token."""
        header = {"alg": "RS256", "kid": "k1"}
        self.change(header, claims)
        if self.forge is not None:
            return self.forge(header, claims)
        return signed(header, claims, self.key)


class _Handler(BaseHTTPRequestHandler):
    provider: HostileProvider

    def do_GET(self) -> None:  # the library's name
        if self.path == "/.well-known/openid-configuration":
            self._answer(200, self.provider.describe())
        elif self.path == "/keys":
            self._answer(200, {"keys": [self.provider.key.as_dict(private=False)]})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        authorization = self.headers.get("Authorization", "")
        self._answer(*self.provider.give_tokens(form, authorization))

    def _answer(self, status: int, document: Json) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write no lines."""


@contextmanager
def hostile_provider() -> Iterator[HostileProvider]:
    """Run a provider on a free port."""
    provider = HostileProvider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join(10)
