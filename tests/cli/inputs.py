"""Sixty documents as people bring them: lists, tables, reports, wrapped, broken and empty ones."""

import base64
import gzip
import io
import json
import zipfile
from typing import Any, NamedTuple

MD5 = "44d88612fea8a8f36de82e1278abb02f"
SHA1 = "3395856ce81f2b7382dee72602f798b642f14140"
SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
PLAIN = "198.51.100.1\n198.51.100.2\nbad.example.com\n"
TABLE = (
    "first_seen,ip,port,malware\n2026-11-01 10:00:00,198.51.100.31,443,emotet\n"
    "2026-11-02 11:00:00,198.51.100.32,8080,qakbot\n"
)


class Input(NamedTuple):
    """A document under the name of its file."""

    file: str
    body: bytes


def zipped(name: str, text: str) -> bytes:
    """A ZIP archive with one file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), text)
    return sink.getvalue()


def stix(*objects: dict[str, Any]) -> str:
    """A bundle of STIX 2.1."""
    return json.dumps({"type": "bundle", "id": f"bundle--{_uuid(0)}", "objects": list(objects)})


def indicator(number: int, pattern: str, **fields: Any) -> dict[str, Any]:
    """An indicator of STIX 2.1."""
    moment = "2026-11-01T10:00:00.000Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{_uuid(number)}",
        "created": moment,
        "modified": moment,
        "valid_from": moment,
        "pattern_type": "stix",
        "pattern": pattern,
        **fields,
    }


def misp(*attributes: tuple[str, str]) -> str:
    """An event of MISP."""
    rows = [
        {
            "uuid": _uuid(number),
            "type": type_,
            "value": value,
            "to_ids": True,
            "timestamp": "1793520000",
        }
        for number, (type_, value) in enumerate(attributes, 1)
    ]
    event = {"uuid": _uuid(0), "info": "a campaign", "date": "2026-11-01", "Attribute": rows}
    return json.dumps({"Event": event})


def _uuid(number: int) -> str:
    return f"6f9b3f6c-1c1e-4c3a-9b43-{number:012d}"


RSS = (
    "<?xml version='1.0'?><rss version='2.0'><channel><title>reports</title>"
    "<link>https://blog.example.org/</link><description>d</description>"
    "<item><title>A campaign</title>"
    "<link>https://blog.example.org/1</link>"
    "<description>It calls 198[.]51[.]100[.]61 and hxxp://evil[.]example[.]com/a</description>"
    "</item></channel></rss>"
)
HTML = (
    "<html><body><table><tr><th>IP</th><th>Malware</th></tr>"
    "<tr><td>198.51.100.71</td><td>emotet</td></tr>"
    "<tr><td>198.51.100.72</td><td>qakbot</td></tr></table></body></html>"
)
REPORT = (
    "# A campaign\n\nThe loader connects to hxxps://login[.]bad[.]example/gate.php and "
    "198[.]51[.]100[.]81.\n\n"
    f"## Indicators\n\n- SHA-256: {SHA256}\n- mail: billing@bad.example.net\n"
)
TEXTS = {
    "plain.txt": PLAIN,
    "comments.txt": f"# a list\n; of two\n// kinds\n{PLAIN}",
    "windows.txt": PLAIN.replace("\n", "\r\n"),
    "old-mac.txt": PLAIN.replace("\n", "\r"),
    "no-end.txt": PLAIN.rstrip(),
    "blank-lines.txt": PLAIN.replace("\n", "\n\n  \n"),
    "duplicates.txt": PLAIN * 3,
    "garbage.txt": f"{PLAIN}not an address\n???\n12345\n",
    "only-garbage.txt": "not an address\n???\nnothing here\n",
    "only-comments.txt": "# nothing this week\n",
    "spaces.txt": "   \n\n \t\n",
    "defanged.txt": "198[.]51[.]100[.]3\nhxxp://bad[.]example[.]com/x\nbad[dot]example[dot]net\n",
    "trailing.txt": "198.51.100.4 # botnet\n198.51.100.5 ; scanner\n",
    "networks.txt": "198.51.100.0/24\n2001:db8:1::/48\n203.0.113.7/32\n",
    "ranges.txt": "198.51.100.0-198.51.100.255\n203.0.113.0 - 203.0.113.127\n",
    "ports.txt": "198.51.100.6:443\n[2001:db8::6]:8443\n",
    "ipv6.txt": "2001:db8::1\n2001:0DB8:0000::2\n::ffff:198.51.100.9\n",
    "urls.txt": "http://bad.example.com/a\nhttps://bad.example.com:8443/b?c=d#e\n",
    "unicode.txt": "bücher.example.com\n例え.example.com\n",
    "upper.txt": "BAD.EXAMPLE.COM\nHTTP://BAD.EXAMPLE.COM/A\n",
    "hosts": "127.0.0.1 localhost\n0.0.0.0 bad.example.com\n0.0.0.0 worse.example.com\n",
    "adblock.txt": "! title\n||bad.example.com^\n||worse.example.com^$third-party\n",
    "dnsmasq.conf": "address=/bad.example.com/0.0.0.0\naddress=/worse.example.com/0.0.0.0\n",
    "rules.rules": 'alert ip [198.51.100.10,198.51.100.11] any -> any any (msg:"x"; sid:1;)\n',
    "hashes.txt": f"{MD5}\n{SHA1}\n{SHA256}\n",
    "hash-and-name.txt": f"{SHA256}  invoice.exe\n{MD5} *setup.exe\n",
    "mails.txt": "billing@bad.example.com\nBilling <other@bad.example.com>\n",
    "cves.txt": "CVE-2024-3400\ncve-2023-23397\n",
    "numbers.txt": "AS64496\nAS64497\n",
    "private.txt": "10.0.0.1\n192.168.1.1\n127.0.0.1\n198.51.100.12\n",
    "table.csv": TABLE,
    "semicolons.csv": TABLE.replace(",", ";"),
    "tabs.tsv": TABLE.replace(",", "\t"),
    "pipes.csv": TABLE.replace(",", "|"),
    "quoted.csv": '"ip","note"\n"198.51.100.33","a, ""b"""\n"198.51.100.34","c\nd"\n',
    "no-header.csv": "198.51.100.35,443,emotet\n198.51.100.36,80,qakbot\n",
    "comment-header.csv": "# first_seen,ip,port\n2026-11-01,198.51.100.37,443\n",
    "two-ends.csv": "src_ip,dst_ip\n10.0.0.4,198.51.100.39\n10.0.0.5,198.51.100.40\n",
    "empty-table.csv": "first_seen,ip,port,malware\n",
    "texts.json": json.dumps(["198.51.100.41", "bad.example.com"]),
    "items.json": json.dumps([{"ip": "198.51.100.42", "tags": ["c2"]}, {"ip": "198.51.100.43"}]),
    "nested.json": json.dumps({"data": {"items": [{"url": "http://bad.example.com/g"}]}}),
    "lines.jsonl": '{"domain": "bad.example.com"}\n{"domain": "worse.example.com"}\n',
    "broken.json": '[{"ip": "198.51.100.44"}, {"ip": ',
    "empty.json": "[]",
    "scalar.json": "42",
    "bundle.json": stix(
        indicator(1, "[ipv4-addr:value = '198.51.100.51']", labels=["c2"]),
        indicator(2, "[domain-name:value = 'bad.example.com']", valid_until="2027-11-01T00:00:00Z"),
        indicator(3, "[file:hashes.'SHA-256' = '" + SHA256 + "']"),
    ),
    "revoked.json": stix(indicator(4, "[ipv4-addr:value = '198.51.100.52']", revoked=True)),
    "pattern.json": stix(indicator(5, "[process:pid = 4]")),
    "event.json": misp(("ip-dst", "198.51.100.53"), ("domain", "bad.example.com"), ("md5", MD5)),
    "feed.xml": RSS,
    "page.html": HTML,
    "report.md": REPORT,
}  # fmt: skip
INPUTS = [
    *(Input(name, text.encode()) for name, text in TEXTS.items()),
    Input("marked.txt", PLAIN.encode("utf-8-sig")),
    Input("wide.txt", PLAIN.encode("utf-16")),
    Input("latin.csv", "ip,note\n198.51.100.91,Müller\n".encode("latin-1")),
    Input("packed.txt.gz", gzip.compress(PLAIN.encode(), mtime=0)),
    Input("packed.zip", zipped("list.txt", PLAIN)),
    Input("cut.txt.gz", gzip.compress(PLAIN.encode() * 50, mtime=0)[:-12]),
    Input("noise.bin", base64.b85decode(b"0" * 400) + bytes(range(256))),
]
