"""The check of what a provider, or whoever pretends to be it, sends. No I/O.

Sources: OpenID Connect Core 1.0 (3.1.3.7, 3.1.3.8), RFC 9207 (issuer of an answer), RFC 7636
(PKCE), OpenID Connect Back-Channel Logout 1.0 (2.6).
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from services.gateway.people.secrets import digest_of
from services.gateway.providers.models import StoredRequest
from shared.errors import Unauthenticated

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519", "EdDSA")
"""What a provider may sign with: never `none`, and never a secret that two share."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LEEWAY_SECONDS: Final = 60
MAX_TOKEN_LENGTH: Final = 16_384

_KEY_TYPES: Final[dict[str, Any]] = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}
_FOREIGN_KEYS: Final = ("jwk", "jku", "x5u", "x5c", "crit", "b64")
"""Headers by which a token would bring its own key, or its own rules."""
_MAX_SUBJECT: Final = 255
_MAX_AGE_SECONDS: Final = 600


class AnswerRefused(Unauthenticated):
    """A provider's answer is not accepted; `reason` says why, in one word for logs."""

    code = "provider-answer-refused"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TokenExpectation:
    """What a token of a provider has to say.

    Attributes:
        issuer: of the provider.
        client_id: ours at the provider.
        algorithms: that the provider may sign with.
        now: seconds since 1970.
    """

    issuer: str
    client_id: str
    algorithms: Sequence[str]
    now: float


def check_callback(
    parameters: Sequence[tuple[str, str]],
    request: StoredRequest | None,
    browser_secret: str | None,
    issuer: str,
    *,
    names_issuer: bool,
) -> str:
    """Return the code that a browser brings from a provider.

    Args:
        parameters: of the address that the browser opens.
        request: the sign-in that the state belongs to; it is used up already.
        browser_secret: what the browser got when the sign-in began.
        issuer: of the provider.
        names_issuer: whether the provider promises to name itself in each answer.

    Raises:
        AnswerRefused: it belongs to another sign-in, browser or provider, or brings no code.
    """
    names = [name for name, _ in parameters]
    if len(set(names)) != len(names):
        raise AnswerRefused("repeated-parameter", "The answer has a parameter twice.")
    values = dict(parameters)
    if request is None:
        raise AnswerRefused("state-unknown", "The sign-in is over or was never begun: begin again.")
    if browser_secret is None or not hmac.compare_digest(
        digest_of(browser_secret), request.browser
    ):
        raise AnswerRefused("other-browser", "The sign-in was begun in another browser.")
    if values.get("provider") != str(request.provider_id):
        raise AnswerRefused("mix-up", "The answer is for a sign-in at another provider.")
    if "iss" in values and values["iss"] != issuer:
        raise AnswerRefused("issuer-of-answer", "The answer comes from another provider.")
    if names_issuer and "iss" not in values:
        raise AnswerRefused("issuer-missing", "The answer does not name its provider.")
    if "error" in values:
        text = values["error"][:100]
        raise AnswerRefused("provider-error", f"The provider refused: {text}.")
    code = values.get("code", "")
    if not code or len(code) > MAX_TOKEN_LENGTH:
        raise AnswerRefused("no-code", "The answer brings no code.")
    return code


def verify_id_token(
    token: object,
    keys: KeySet,
    expected: TokenExpectation,
    nonce: str,
    access_token: str | None,
) -> dict[str, Any]:
    """Return the claims of an ID token.

    Raises:
        AnswerRefused: anything about it is not as it has to be.
    """
    header, claims = _verify(token, keys, expected)
    if claims.get("nonce") != nonce:
        raise AnswerRefused("nonce", "The token is of another sign-in.")
    if "at_hash" in claims:
        _check_hash(str(header["alg"]), claims["at_hash"], access_token)
    return claims


def verify_logout_token(
    token: object, keys: KeySet, expected: TokenExpectation
) -> tuple[str | None, str | None]:
    """Return the subject and the session that a provider ends; one of both may be None.

    Raises:
        AnswerRefused: anything about the token is not as it has to be.
    """
    _, claims = _verify(token, keys, expected, needs_subject=False)
    events = claims.get("events")
    if not isinstance(events, dict) or LOGOUT_EVENT not in events:
        raise AnswerRefused("no-logout", "The token ends no session.")
    if "nonce" in claims:
        raise AnswerRefused("nonce-in-logout", "The token is an ID token.")
    subject = claims.get("sub")
    session = claims.get("sid")
    if not subject and not session:
        raise AnswerRefused("nobody", "The token names neither person nor session.")
    return (
        subject if isinstance(subject, str) else None,
        session if isinstance(session, str) else None,
    )


def import_keys(document: object) -> KeySet:
    """Return the public keys of a provider; those of other kinds, or with secrets, are left out.

    Raises:
        AnswerRefused: it has none.
    """
    entries = document.get("keys") if isinstance(document, Mapping) else None
    usable = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("kty") in ("RSA", "EC", "OKP"):
            public = {name: value for name, value in entry.items() if name not in _PRIVATE_PARTS}
            usable.append(public)
    try:
        keys = KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise AnswerRefused("keys", "The provider's keys cannot be read.") from error
    if not keys.keys:
        raise AnswerRefused("keys", "The provider has no key that can be used.")
    return keys


_PRIVATE_PARTS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


def _verify(
    token: object, keys: KeySet, expected: TokenExpectation, *, needs_subject: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(token, str) or not token or len(token) > MAX_TOKEN_LENGTH:
        raise AnswerRefused("no-token", "The provider sent no token.")
    header = _read_header(token)
    algorithm = _check_header(header, expected.algorithms)
    key = _find_key(header, algorithm, keys)
    try:
        verified = jws.deserialize_compact(token.encode(), key, algorithms=[algorithm])
        claims = json.loads(verified.payload)
    except (JoseError, ValueError, TypeError) as error:
        raise AnswerRefused("signature", "The token was not signed by the provider.") from error
    if not isinstance(claims, dict):
        raise AnswerRefused("no-claims", "The token has no claims.")
    _check_claims(claims, expected, needs_subject=needs_subject)
    return header, claims


def _read_header(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        header = json.loads(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except ValueError as error:
        raise AnswerRefused("no-token", "The provider sent no signed token.") from error
    if not isinstance(header, dict) or len(parts) != 3:
        raise AnswerRefused("no-token", "The provider sent no signed token.")
    return header


def _check_header(header: Mapping[str, Any], algorithms: Sequence[str]) -> str:
    algorithm = header.get("alg")
    if algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise AnswerRefused("algorithm", "The token is signed in a way that is not accepted.")
    for name in _FOREIGN_KEYS:
        if name in header:
            raise AnswerRefused(f"header-{name}", "The token brings its own key or rules.")
    return str(algorithm)


def _find_key(header: Mapping[str, Any], algorithm: str, keys: KeySet) -> Any:
    kind = _KEY_TYPES[algorithm[:2]]
    fitting = [key for key in keys.keys if isinstance(key, kind)]
    name = header.get("kid")
    if name is not None:
        fitting = [key for key in fitting if key.kid == name]
    if len(fitting) != 1:
        raise AnswerRefused("key-unknown", "The token is signed with a key of nobody.")
    return fitting[0]


def _check_claims(
    claims: Mapping[str, Any], expected: TokenExpectation, *, needs_subject: bool
) -> None:
    if claims.get("iss") != expected.issuer:
        raise AnswerRefused("issuer", "The token is of another provider.")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise AnswerRefused("audience", "The token is for another program.")
    if len(audiences) > 1 and "azp" not in claims:
        raise AnswerRefused("authorized-party", "The token is for several programs.")
    if "azp" in claims and claims["azp"] != expected.client_id:
        raise AnswerRefused("authorized-party", "The token was given to another program.")
    _check_times(claims, expected.now)
    subject = claims.get("sub")
    is_subject = isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT
    if needs_subject and not is_subject:
        raise AnswerRefused("subject", "The token names nobody.")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    moments = {}
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise AnswerRefused("times", "The token's times are no numbers.")
        moments[name] = value
    if moments["exp"] is None or moments["iat"] is None:
        raise AnswerRefused("times", "The token has no times.")
    if moments["exp"] <= now - LEEWAY_SECONDS:
        raise AnswerRefused("expired", "The token has expired.")
    latest = now + LEEWAY_SECONDS
    if moments["iat"] > latest or (moments["nbf"] or 0) > latest:
        raise AnswerRefused("early", "The token is of a time to come.")
    if moments["iat"] < now - _MAX_AGE_SECONDS:
        raise AnswerRefused("old", "The token is too old for this sign-in.")


def _check_hash(algorithm: str, stated: object, access_token: str | None) -> None:
    function = _HASHES.get(algorithm[-3:])
    if function is None:
        function = sha512 if algorithm == "Ed25519" else None
    if function is None:
        raise AnswerRefused("hash-algorithm", "The token has a hash of a kind that nobody knows.")
    digest = function((access_token or "").encode()).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    is_same = isinstance(stated, str) and hmac.compare_digest(half.encode(), stated.encode())
    if access_token is None or not is_same:
        raise AnswerRefused("access-token-hash", "The two tokens do not belong together.")
