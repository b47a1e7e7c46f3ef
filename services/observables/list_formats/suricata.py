"""Rules, datasets and reputation of Suricata. Its documentation: https://docs.suricata.io/.

The number of a rule is the first of the operator's range and the number of the change by which its
entry joined: it stays as long as the entry, and no two rules of a list have the same.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final

import ada_url

from services.observables.list_formats.base import (
    ADDRESSES,
    DOMAINS,
    FileAccount,
    LineListFormat,
    ListVersion,
    OptionCheck,
    Row,
    refuse,
)

_FIRST_SID: Final = 9_000_000
_MAX_SID: Final = 2**32 - 1
_SPECIAL: Final = re.compile(r"[^A-Za-z0-9 _./?=&%~!*\'()@,+-]")


def _first_sid(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MAX_SID:
        raise ValueError(f"say a number from 1 to {_MAX_SID}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MAX_SID:
        raise ValueError(f"say a number from 1 to {_MAX_SID}")
    return int(text)


def _action(text: str) -> str:
    if text not in {"alert", "drop", "reject"}:
        raise ValueError("say alert, drop or reject")
    return text


class SuricataRulesListFormat(LineListFormat):
    """A rule for each address, network, name and plain HTTP URL."""

    name = "suricata"
    summary = "Suricata rules; URLs of https are left out, since a sensor does not see them."
    types = ADDRESSES | DOMAINS | {"url"}
    options: Mapping[str, str] = {
        "first_sid": "the first number of the range of rules; 9000000 without it",
        "sids": "how many numbers the range has; 1000000 without it",
        "action": "alert, drop or reject; alert without it",
    }
    checks: Mapping[str, OptionCheck] = {"first_sid": _first_sid, "sids": _count, "action": _action}

    def line(self, row: Row, version: ListVersion) -> str:
        """The rule of an entry."""
        type_, value, _, number, _, _ = row
        options = version.options
        first = int(options.get("first_sid", _FIRST_SID))
        if number >= int(options.get("sids", 1_000_000)) or first + number > _MAX_SID:
            return refuse("the range of rule numbers is used up")
        match = _match(type_, value)
        if match is None:
            return refuse("a sensor cannot see exactly that")
        protocol, target, conditions = match
        action = options.get("action", "alert")
        message = f"SentinelIQ {version.name}"
        return (
            f'{action} {protocol} any any -> {target} any (msg:"{message}"; {conditions}'
            f"sid:{first + number}; rev:1;)"
        )


def _match(type_: str, value: str) -> tuple[str, str, str] | None:
    """Protocol, target and conditions that match an observable and nothing else."""
    if type_ in ADDRESSES:
        return "ip", value, ""
    if type_ in DOMAINS:
        return "dns", "any", f"dns.query; {_content(value)}nocase; "
    try:
        url = ada_url.URL(value)
    except ValueError:
        return None
    plain = url.protocol == "http:" and not url.port and not url.username and not url.hash
    if not plain or not url.hostname or not value.isascii():
        return None
    path = f"{url.pathname}{url.search}"
    return (
        "http",
        "any",
        f"http.host; {_content(url.hostname)}http.uri.raw; {_content(path)}",
    )


def _content(text: str) -> str:
    """A buffer that is just this text."""
    written = _SPECIAL.sub(lambda match: f"|{ord(match[0]):02X}|", text)
    return f'content:"{written}"; bsize:{len(text)}; '


class SuricataDatasetListFormat(LineListFormat):
    """A dataset of one kind of values.

    Args:
        name: of the format.
        types: of observables.
        kind: `string`, `ip`, `md5` or `sha256`, as Suricata calls it.
    """

    comment = None

    def __init__(self, name: str, types: frozenset[str], kind: str) -> None:
        self.name = name
        self.types = types
        self.summary = f"A Suricata dataset of type {kind}."
        self._kind = kind

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,
    ) -> list[str]:
        """The values, as datasets of the kind have them."""
        values = [row[1] for row in rows]
        if self._kind == "string":
            return [base64.b64encode(value.encode()).decode() for value in values]
        if self._kind == "ip":
            single = [value for value in values if "/" not in value]
            if len(single) < len(values):
                account.left_out["datasets have no networks"] += len(values) - len(single)
            return single
        return values


DATASETS: Final = (
    SuricataDatasetListFormat("suricata-domains", DOMAINS, "string"),
    SuricataDatasetListFormat("suricata-ips", ADDRESSES, "ip"),
    SuricataDatasetListFormat("suricata-md5", frozenset({"file-md5"}), "md5"),
    SuricataDatasetListFormat("suricata-sha256", frozenset({"file-sha256"}), "sha256"),
)
"""The kinds of datasets that lists fill."""


class IprepListFormat(LineListFormat):
    """Reputation of addresses and networks: category and score."""

    name = "iprep"
    summary = "Suricata's IP reputation: address, category, score."
    types = ADDRESSES
    options: Mapping[str, str] = {"category": "its number, 1 to 59; 1 without it"}

    @staticmethod
    def _category(text: str) -> int:
        if not text.isdigit() or not 1 <= int(text) <= 59:
            raise ValueError("say a number from 1 to 59")
        return int(text)

    checks: Mapping[str, OptionCheck] = {"category": _category}

    def line(self, row: Row, version: ListVersion) -> str:
        """The line of an address; scores of 100 are 127 there."""
        category = version.options.get("category", "1")
        return f"{row[1]},{category},{max(1, round(row[2] * 1.27))}"
