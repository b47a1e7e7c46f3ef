"""URLhaus: URLs that malware is downloaded from, the hosts that serve it, and the files that came of it.

Source: https://urlhaus-api.abuse.ch/
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    FORM_HEADERS,
    collect_facts,
    distinct,
    form_body,
    hash_relations,
    is_public_address,
)
from shared.stix import ObservableType as Type

_QUESTIONS: Final[Mapping[str, tuple[str, str]]] = {
    Type.URL: ("url", "url"),
    Type.IPV4: ("host", "host"),
    Type.DOMAIN: ("host", "host"),
    Type.MD5: ("payload", "md5_hash"),
    Type.SHA256: ("payload", "sha256_hash"),
}
_NOT_LISTED: Final = "not listed"


class _Payload(msgspec.Struct):
    filename: str | None = None
    file_type: str | None = None
    response_sha256: str | None = None
    signature: str | None = None


class _Url(msgspec.Struct):
    url: str
    url_status: str | None = None
    threat: str | None = None
    tags: list[str] | None = None


class _Lists(msgspec.Struct):
    spamhaus_dbl: str | None = None
    surbl: str | None = None


class _Status(msgspec.Struct):
    query_status: str


class _AboutUrl(msgspec.Struct):
    url: str
    url_status: str
    threat: str | None = None
    date_added: str | None = None
    last_online: str | None = None
    blacklists: _Lists | None = None
    tags: list[str] | None = None
    payloads: list[_Payload] | None = None


class _AboutHost(msgspec.Struct):
    host: str
    firstseen: str | None = None
    url_count: int | None = None
    blacklists: _Lists | None = None
    urls: list[_Url] | None = None


class _AboutFile(msgspec.Struct):
    md5_hash: str | None
    sha256_hash: str | None
    file_type: str | None = None
    file_size: int | None = None
    signature: str | None = None
    firstseen: str | None = None
    lastseen: str | None = None
    url_count: int | None = None
    imphash: str | None = None
    tlsh: str | None = None
    urls: list[_Url] | None = None


class URLhaus(RemoteEnricher):
    """Distribution of malware, as abuse.ch and its community report it."""

    name: ClassVar[str] = "urlhaus"
    title: ClassVar[str] = "abuse.ch URLhaus"
    documentation: ClassVar[str] = "https://urlhaus-api.abuse.ch/"
    base_url: ClassVar[str] = "https://urlhaus-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset(_QUESTIONS)
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        """URLs, names, files, and addresses of the public network."""
        return query.type in self.types and (
            query.type != Type.IPV4 or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /v1/url/`, `/v1/host/` or `/v1/payload/`: a form, with the key in a header."""
        endpoint, field = _QUESTIONS[query.type]
        body = form_body(**{field: query.value})
        return Request(f"/v1/{endpoint}/", {}, "POST", FORM_HEADERS, {"Auth-Key": key["key"]}, body)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Each listing is a strong voice, a weaker one once nothing is served any more. Unknown is `no_results`."""
        status = msgspec.json.decode(content, type=_Status).query_status
        if status == "no_results":
            return None
        if status != "ok":
            raise InvalidAnswer(f"URLhaus answered with the status {status[:50]!r}.")
        # Not strict, for numbers are written as texts.
        if query.type == Type.URL:
            return _of_url(msgspec.json.decode(content, type=_AboutUrl, strict=False))
        if query.type in {Type.IPV4, Type.DOMAIN}:
            return _of_host(query, msgspec.json.decode(content, type=_AboutHost, strict=False))
        return _of_file(msgspec.json.decode(content, type=_AboutFile, strict=False))


def _of_url(url: _AboutUrl) -> Finding:
    payloads = url.payloads or []
    facts = collect_facts(
        status=url.url_status,
        threat=url.threat,
        tags=distinct(url.tags or []),
        malware=distinct(payload.signature for payload in payloads),
        file_names=distinct((payload.filename for payload in payloads), 20),
        file_types=distinct(payload.file_type for payload in payloads),
        first_seen=url.date_added,
        last_online=url.last_online,
        **_lists(url.blacklists),
    )
    hashes = (payload.response_sha256 for payload in payloads if payload.response_sha256)
    related = tuple(
        RelatedObservable("downloaded-from", Type.SHA256, one, inward=True) for one in hashes
    )
    online = url.url_status == "online"
    reason = f"serves malware, {url.url_status} when URLhaus last looked."
    return Finding(facts, (Weight(0.9 if online else 0.7, reason),), related)


def _of_host(query: Query, host: _AboutHost) -> Finding:
    urls = host.urls or []
    count = host.url_count if host.url_count is not None else len(urls)
    online = sum(url.url_status == "online" for url in urls)
    facts = collect_facts(
        urls=count,
        urls_online=online,
        threats=distinct(url.threat for url in urls),
        tags=distinct(tag for url in urls for tag in url.tags or []),
        first_seen=host.firstseen,
        **_lists(host.blacklists),
    )
    related = tuple(RelatedObservable("related-to", Type.URL, url.url) for url in urls)
    if not count:
        return Finding(facts, (), related)
    reason = f"{count} URLs that served malware, {online} of them online when URLhaus last looked."
    weight = 0.8 if online else 0.5
    if query.type == Type.DOMAIN:  # which may be a service where anybody puts files
        weight = 0.6 if online else 0.4
    if ((host.blacklists or _Lists()).spamhaus_dbl or "").startswith("abused_"):
        weight, reason = 0.3, f"a legitimate host that is abused: {reason}"
    return Finding(facts, (Weight(weight, reason),), related)


def _of_file(file: _AboutFile) -> Finding:
    urls = file.urls or []
    facts = collect_facts(
        malware=file.signature,
        file_type=file.file_type,
        file_size=file.file_size,
        first_seen=file.firstseen,
        last_seen=file.lastseen,
        urls=file.url_count if file.url_count is not None else len(urls),
    )
    fuzzy = ((Type.IMPHASH, file.imphash), (Type.TLSH, file.tlsh))
    related = (
        *hash_relations(file.md5_hash, file.sha256_hash),
        *(RelatedObservable("related-to", type_, value) for type_, value in fuzzy if value),
        *(RelatedObservable("downloaded-from", Type.URL, url.url) for url in urls),
    )
    if file.signature:
        return Finding(
            facts,
            (Weight(0.9, f"downloaded from a URL of URLhaus, known as {file.signature}."),),
            related,
        )
    return Finding(facts, (Weight(0.6, "downloaded from a URL of URLhaus."),), related)


def _lists(lists: _Lists | None) -> dict[str, str | None]:
    """What other lists say; to stand on none is no fact."""
    found = lists or _Lists()
    return {
        "spamhaus_dbl": found.spamhaus_dbl if found.spamhaus_dbl != _NOT_LISTED else None,
        "surbl": found.surbl if found.surbl != _NOT_LISTED else None,
    }
