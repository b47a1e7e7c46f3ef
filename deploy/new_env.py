"""Write `.env` for compose.yaml: fresh secrets, readable by the owner only.

What an existing file has stays; what a newer version needs besides is added to it. Each service
gets the keys that it needs, derived from `SENTINELIQ_SECRET_KEY`, which no container gets: it makes
tokens. This program needs Python alone, so it computes keys and Ed25519's public keys (RFC 8032) by
itself; a test compares them with those of `shared.keys`.
"""

import hashlib
import hmac
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLACE = Path(__file__).resolve().parents[1] / ".env"
SERVICES = ("feeds", "observables", "notifications", "mitre", "scheduler", "gateway")
KAFKA_LOGINS = ("broker", "admin", "operator", *SERVICES)
SIGNED_PURPOSES = ("events", "tasks")
SECRET_PURPOSES = {
    "feeds": ("feeds.auth", "feeds.times"),
    "observables": ("observables.enrichers",),
    "notifications": ("notifications.channels",),
    "gateway": ("gateway.console", "gateway.identity", "gateway.api_keys"),
}
TOKEN_SIGNERS = ("operator", "gateway")
PRIME = 2**255 - 19
CURVE = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME
BASE_Y = 4 * pow(5, PRIME - 2, PRIME) % PRIME
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
Point = tuple[int, int, int, int]
"""A point of the curve: X, Y, Z and T, with x = X/Z, y = Y/Z and xy = T/Z."""
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % PRIME)


def variables() -> dict[str, str]:
    """A secret for each variable that compose.yaml requires, in letters valid in a URL."""
    logins = {f"{name.upper()}_DATABASE_PASSWORD": secrets.token_urlsafe(32) for name in SERVICES}
    return {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "VALKEY_PASSWORD": secrets.token_urlsafe(32),
        "SENTINELIQ_SECRET_KEY": secrets.token_urlsafe(48),
        "FLOWER_BASIC_AUTH": f"operator:{secrets.token_urlsafe(24)}",
        **logins,
        **{f"KAFKA_PASSWORD_{login.upper()}": secrets.token_urlsafe(32) for login in KAFKA_LOGINS},
    }


def content(stored: Mapping[str, str] | None = None) -> str:
    """The lines that a file lacks.

    Args:
        stored: the variables that it has.
    """
    stored = stored or {}
    lines = {name: value for name, value in variables().items() if name not in stored}
    secret = {**lines, **stored}["SENTINELIQ_SECRET_KEY"]
    lines |= {name: value for name, value in bundles(secret).items() if name not in stored}
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def bundles(secret: str) -> dict[str, str]:
    """The keys of each service, as `SENTINELIQ_KEYS` takes them."""
    seeds = {owner: derive(secret, "tokens", owner) for owner in TOKEN_SIGNERS}
    tokens = [
        describe("tokens", owner, "public", public_key(seed)) for owner, seed in seeds.items()
    ]
    signed = {
        (purpose, owner): derive(secret, purpose, owner)
        for purpose in SIGNED_PURPOSES
        for owner in (*SERVICES, "operator")
    }
    public = [
        describe(purpose, owner, "public", public_key(seed))
        for (purpose, owner), seed in signed.items()
    ]
    texts = {}
    for service in SERVICES:
        own = [
            describe(purpose, service, "secret", derive(secret, purpose, "v1"))
            for purpose in SECRET_PURPOSES.get(service, ())
        ]
        signing = []
        if service in seeds:
            signing.append(describe("tokens", service, "private", seeds[service]))
        for purpose in SIGNED_PURPOSES:
            private = signed[purpose, service]
            signing.append(describe(purpose, service, "private", private))
            signing += [key for key in public if key["purpose"] == purpose]
        text = json.dumps({"keys": [*tokens, *signing, *own]})
        texts[f"{service.upper()}_KEYS"] = urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return texts


def describe(purpose: str, owner: str, kind: str, material: bytes) -> dict[str, Any]:
    """A key as a bundle has it."""
    text = urlsafe_b64encode(material).decode()
    key = {"purpose": purpose, "owner": owner, "kind": kind, "material": text}
    return {**key, "since": None, "until": None}


def derive(secret: str, purpose: str, owner: str) -> bytes:
    """A key of 32 bytes by HKDF with SHA-256 and no salt (RFC 5869)."""
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, f"sentineliq/{purpose}/{owner}".encode() + b"\1", "sha256")


def public_key(seed: bytes) -> bytes:
    """The public half of an Ed25519 key."""
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | 1 << 254
    point = multiply(scalar, BASE)
    inverse = pow(point[2], PRIME - 2, PRIME)
    sign = point[0] * inverse % PRIME & 1
    return (point[1] * inverse % PRIME | sign << 255).to_bytes(32, "little")


def multiply(scalar: int, point: Point) -> Point:
    """A point so many times."""
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def add(first: Point, second: Point) -> Point:
    """The sum of two points (RFC 8032, 5.1.4)."""
    a = (first[1] - first[0]) * (second[1] - second[0]) % PRIME
    b = (first[1] + first[0]) * (second[1] + second[0]) % PRIME
    c = 2 * first[3] * second[3] * CURVE % PRIME
    d = 2 * first[2] * second[2] % PRIME
    e = b - a
    f = d - c
    g = d + c
    h = b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def main(place: Path = PLACE) -> int:
    """Write the file, or add to it what is missing; the exit code is 1 if nothing is."""
    stored = place.read_text() if place.exists() else ""
    missing = content(_read(stored))
    if not missing:
        sys.stderr.write(
            f"{place} is kept as it is; remove it to get new secrets"
            " (and new volumes to go with them)\n"
        )
        return 1
    if stored and not stored.endswith("\n"):
        stored += "\n"
    _replace(place, stored + missing)
    names = ", ".join(_read(missing))
    done = f"{names} added to {place}" if stored else f"{place} written"
    sys.stdout.write(f"{done}; next: docker compose --profile all up --build\n")
    return 0


def _read(text: str) -> dict[str, str]:
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    return {name.strip(): value for name, value in lines if not name.lstrip().startswith("#")}


def _replace(place: Path, text: str) -> None:
    new = place.with_name(f"{place.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(place)


if __name__ == "__main__":
    sys.exit(main())
