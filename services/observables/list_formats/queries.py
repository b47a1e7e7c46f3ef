"""Queries that search logs for the entries of a list: Splunk, Microsoft, Elasticsearch.

A field and its values are a condition. Values stand in quoted strings, in which no language here
has wildcards, and are compared exactly, by case; networks are compared as networks.

Sources: Splunk's *Search Reference* on `where` and `cidrmatch`; Microsoft's reference of the Kusto
query language on `in`, `ipv4_is_in_range` and `ipv6_is_in_range`; Elastic's references of ES|QL and
of the syntax of query strings, and the Elastic Common Schema.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
    Row,
    head_comment,
)

_ECS: Final[Mapping[str, str]] = {
    "ipv4-addr": "destination.ip",
    "ipv6-addr": "destination.ip",
    "domain-name": "dns.question.name",
    "url": "url.full",
    "file-md5": "file.hash.md5",
    "file-sha1": "file.hash.sha1",
    "file-sha256": "file.hash.sha256",
}
_CIM: Final[Mapping[str, str]] = {
    "ipv4-addr": "dest_ip",
    "ipv6-addr": "dest_ip",
    "domain-name": "query",
    "url": "url",
    "file-md5": "file_hash",
    "file-sha1": "file_hash",
    "file-sha256": "file_hash",
}
_DEFENDER: Final[Mapping[str, str]] = {
    "ipv4-addr": "RemoteIP",
    "ipv6-addr": "RemoteIP",
    "url": "RemoteUrl",
    "file-md5": "MD5",
    "file-sha1": "SHA1",
    "file-sha256": "SHA256",
}


class QueryListFormat(PlainTextFormat):
    """A query of one language, with a condition for each field.

    A list without entries is a query that matches nothing.

    Attributes:
        fields: by type of observable.
        comment: what begins a line that the language passes over; None if there is no such line.
        never: the condition that no event fulfils.
        opening: what stands before the conditions.
        word: what stands between two of them.
    """

    fields: Mapping[str, str] = {}
    comment: str | None = "//"
    never: str = "false"
    opening: str = ""
    word: str = "OR"

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the query as one expression, and a line for each condition."""
        values: dict[str, list[str]] = defaultdict(list)
        networks: dict[str, list[str]] = defaultdict(list)
        for page in pages:
            rows = self.speakable(page, account)
            account.entries += len(rows)
            for row in rows:
                self._sort(row, values, networks)
        if self.comment is not None:
            yield "".join(f"{line}\n" for line in head_comment(self.comment, version)).encode()
        conditions = [self.equality(field, texts) for field, texts in values.items()]
        for field, texts in networks.items():
            conditions += [self.containment(field, text) for text in texts]
        joined = f"\n  {self.word} ".join(conditions) if conditions else self.never
        yield f"{self.opening}{joined}\n".encode()

    def _sort(
        self, row: Row, values: Mapping[str, list[str]], networks: Mapping[str, list[str]]
    ) -> None:
        field = self.fields[row[0]]
        is_network = row[0] in {"ipv4-addr", "ipv6-addr"} and "/" in row[1]
        (networks if is_network else values)[field].append(row[1])

    def equality(self, field: str, values: Sequence[str]) -> str:
        """The condition that a field has one of some values."""
        return f"{field} IN ({', '.join(map(quote, values))})"

    def containment(self, field: str, network: str) -> str:
        """The condition that a field has an address of a network."""
        raise NotImplementedError


def quote(text: str) -> str:
    """A text between double quotes; a backslash escapes, as in all languages here."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class SplunkListFormat(QueryListFormat):
    """A search of Splunk's Common Information Model; `where` compares by case."""

    name = "spl"
    summary = "Splunk: a search over fields of the Common Information Model."
    types = frozenset(_CIM)
    fields = _CIM
    comment = None
    never = "false()"
    opening = "| where "

    def containment(self, field: str, network: str) -> str:
        """See `QueryListFormat.containment`."""
        return f"cidrmatch({quote(network)}, {field})"


class KustoListFormat(QueryListFormat):
    """A filter of Microsoft's tables of devices, which follows the name of a table."""

    name = "kql"
    summary = "Microsoft Sentinel and Defender: a filter of tables of devices' events."
    types = frozenset(_DEFENDER)
    fields = _DEFENDER
    opening = "| where "
    word = "or"

    def equality(self, field: str, values: Sequence[str]) -> str:
        """See `QueryListFormat.equality`; `in` compares by case."""
        return f"{field} in ({', '.join(map(quote, values))})"

    def containment(self, field: str, network: str) -> str:
        """See `QueryListFormat.containment`."""
        family = "ipv6" if ":" in network else "ipv4"
        return f"{family}_is_in_range({field}, {quote(network)})"


class EsqlListFormat(QueryListFormat):
    """A query of ES|QL over the Elastic Common Schema."""

    name = "esql"
    summary = "Elasticsearch's ES|QL over the Elastic Common Schema."
    types = frozenset(_ECS)
    fields = _ECS
    opening = "FROM logs-*\n| WHERE "

    def containment(self, field: str, network: str) -> str:
        """See `QueryListFormat.containment`."""
        return f"CIDR_MATCH({field}, {quote(network)})"


class LuceneListFormat(QueryListFormat):
    """A query string of Elasticsearch over the Elastic Common Schema."""

    name = "lucene"
    summary = "Elasticsearch's and OpenSearch's query strings over the Elastic Common Schema."
    types = frozenset(_ECS)
    fields = _ECS
    comment = None
    never = "NOT *:*"

    def equality(self, field: str, values: Sequence[str]) -> str:
        """See `QueryListFormat.equality`."""
        return f"{field}:({' OR '.join(map(quote, values))})"

    def containment(self, field: str, network: str) -> str:
        """See `QueryListFormat.containment`; fields of addresses take networks."""
        return f"{field}:{quote(network)}"


QUERIES: Final = (SplunkListFormat(), KustoListFormat(), EsqlListFormat(), LuceneListFormat())
