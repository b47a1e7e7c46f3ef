"""URLhaus: URLs that serve malware, their hosts, and the files downloaded from them.

Source: https://urlhaus-api.abuse.ch/
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
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
    is_public,
    relations,
)
from shared.stix import ObservableType as Type

_ENDPOINTS: Final[Mapping[str, tuple[str, str]]] = {
    Type.URL: ("url", "url"),
    Type.IPV4: ("host", "host"),
    Type.DOMAIN: ("host", "host"),
    Type.MD5: ("payload", "md5_hash"),
    Type.SHA256: ("payload", "sha256_hash"),
}
_MAX_FILE_NAMES: Final = 20
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


class _UrlAnswer(msgspec.Struct):
    url: str
    url_status: str
    threat: str | None = None
    date_added: str | None = None
    last_online: str | None = None
    blacklists: _Lists | None = None
    tags: list[str] | None = None
    payloads: list[_Payload] | None = None


class _HostAnswer(msgspec.Struct):
    host: str
    firstseen: str | None = None
    url_count: int | None = None
    blacklists: _Lists | None = None
    urls: list[_Url] | None = None

    def is_abused(self) -> bool:
        """Whether Spamhaus takes the host for a legitimate one that others abuse."""
        listing = self.blacklists and self.blacklists.spamhaus_dbl
        return (listing or "").startswith("abused_")


class _FileAnswer(msgspec.Struct):
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
    """Distribution of malware, reported by abuse.ch and its community."""

    name: ClassVar[str] = "urlhaus"
    title: ClassVar[str] = "abuse.ch URLhaus"
    origin: ClassVar[str] = "abuse.ch"
    documentation: ClassVar[str] = "https://urlhaus-api.abuse.ch/"
    base_url: ClassVar[str] = "https://urlhaus-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset(_ENDPOINTS)
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /v1/url/`, `/v1/host/` or `/v1/payload/`: a form, with the key in a header."""
        endpoint, field = _ENDPOINTS[query.type]
        body = form_body(**{field: query.value})
        return Request(f"/v1/{endpoint}/", {}, "POST", FORM_HEADERS, {"Auth-Key": key["key"]}, body)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read a URL, host or file; the status is `no_results` for an unknown one.

        Each listing is a strong claim, a weaker one once nothing is served any more.
        """
        status = msgspec.json.decode(content, type=_Status).query_status
        if status == "no_results":
            return None
        if status != "ok":
            raise InvalidAnswer(f"URLhaus answered with the status {status[:50]!r}.")
        # Not strict, for numbers are written as texts.
        if query.type == Type.URL:
            return _url_finding(msgspec.json.decode(content, type=_UrlAnswer, strict=False))
        if query.type in {Type.IPV4, Type.DOMAIN}:
            return _host_finding(
                query, msgspec.json.decode(content, type=_HostAnswer, strict=False)
            )
        return _file_finding(msgspec.json.decode(content, type=_FileAnswer, strict=False))


def _url_finding(url: _UrlAnswer) -> Finding:
    payloads = url.payloads or []
    facts = collect_facts(
        status=url.url_status,
        threat=url.threat,
        tags=distinct(url.tags),
        malware=distinct(payload.signature for payload in payloads),
        file_names=distinct((payload.filename for payload in payloads), _MAX_FILE_NAMES),
        file_types=distinct(payload.file_type for payload in payloads),
        first_seen=url.date_added,
        last_online=url.last_online,
    )
    hashes = [payload.response_sha256 for payload in payloads]
    weight = 0.9 if url.url_status == "online" else 0.7
    reason = f"serves malware, {url.url_status} when URLhaus last looked."
    return Finding(
        facts | _list_facts(url.blacklists),
        (Weight(weight, reason),),
        relations("downloaded-from", Type.SHA256, hashes, inward=True),
    )


def _host_finding(query: Query, host: _HostAnswer) -> Finding:
    urls = host.urls or []
    count = host.url_count if host.url_count is not None else len(urls)
    online = sum(url.url_status == "online" for url in urls)
    facts = collect_facts(
        urls=count,
        urls_online=online,
        threats=distinct(url.threat for url in urls),
        tags=distinct(tag for url in urls for tag in url.tags or ()),
        first_seen=host.firstseen,
    )
    return Finding(
        facts | _list_facts(host.blacklists),
        _host_weights(query, host, count, online),
        relations("related-to", Type.URL, [url.url for url in urls]),
    )


def _host_weights(query: Query, host: _HostAnswer, count: int, online: int) -> tuple[Weight, ...]:
    """The claim about a host that served `count` URLs, `online` of which still work."""
    if not count:
        return ()
    reason = f"{count} URLs that served malware, {online} of them online when URLhaus last looked."
    if host.is_abused():
        return (Weight(0.3, f"a legitimate host that is abused: {reason}"),)
    # A domain may be a service where anyone puts files.
    if query.type == Type.DOMAIN:
        return (Weight(0.6 if online else 0.4, reason),)
    return (Weight(0.8 if online else 0.5, reason),)


def _file_finding(file: _FileAnswer) -> Finding:
    urls = file.urls or []
    facts = collect_facts(
        malware=file.signature,
        file_type=file.file_type,
        file_size=file.file_size,
        first_seen=file.firstseen,
        last_seen=file.lastseen,
        urls=file.url_count if file.url_count is not None else len(urls),
    )
    if file.signature:
        reason = f"downloaded from a URL of URLhaus, known as {file.signature}."
        weight = Weight(0.9, reason)
    else:
        weight = Weight(0.6, "downloaded from a URL of URLhaus.")
    related = (
        *hash_relations(file.md5_hash, file.sha256_hash),
        *relations("related-to", Type.IMPHASH, [file.imphash]),
        *relations("related-to", Type.TLSH, [file.tlsh]),
        *relations("downloaded-from", Type.URL, [url.url for url in urls]),
    )
    return Finding(facts, (weight,), related)


def _list_facts(lists: _Lists | None) -> dict[str, Fact]:
    """The listings on other lists; "not listed" is no fact."""
    lists = lists or _Lists()
    return collect_facts(
        spamhaus_dbl=lists.spamhaus_dbl if lists.spamhaus_dbl != _NOT_LISTED else None,
        surbl=lists.surbl if lists.surbl != _NOT_LISTED else None,
    )
