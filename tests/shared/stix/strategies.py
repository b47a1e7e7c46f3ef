"""Raw observables as people write them, by type."""

from string import ascii_lowercase, digits, hexdigits

from hypothesis import strategies as st

from shared.stix import ObservableType as T

_label = st.text(ascii_lowercase + digits + "_-", min_size=1, max_size=12)
_unicode_label = st.text("aäöüßéñжшя例日本", min_size=1, max_size=8)
_tld = st.sampled_from(["com", "net", "org", "de", "co.uk", "jp", "onion", "рф", "xyz", "COM"])
domains = st.builds(
    lambda labels, tld, dot: ".".join([*labels, tld]) + dot,
    st.lists(_label | _unicode_label, min_size=1, max_size=4),
    _tld,
    st.sampled_from(["", "."]),
)
ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).flatmap(lambda ip: st.sampled_from([str(ip), ip.exploded.upper()]))
networks = st.builds(
    lambda ip, bits: f"{ip}/{min(bits, ip.max_prefixlen)}", st.ip_addresses(), st.integers(1, 128)
)
_path = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd\ufeff")
)
urls = st.builds(
    lambda scheme, user, host, port, path: f"{scheme}://{user}{host}{port}{path}",
    st.sampled_from(["http", "https", "HTTP", "hxxp", "ftp", "tcp", "ws"]),
    st.sampled_from(["", "", "u:p@", "(.)a@", "(@"]),
    domains | ipv4 | ipv6.map(lambda ip: f"[{ip}]"),
    st.sampled_from(["", ":80", ":8080", ":443"]),
    st.just("") | _path.map(lambda text: f"/{text}"),
)
emails = st.builds(
    lambda local, domain: f"{local}@{domain}",
    st.text(ascii_lowercase.upper() + digits + "._+{}'", min_size=1, max_size=20),
    domains,
)
macs = st.builds(
    lambda octets, sign: sign.join(octets),
    st.lists(st.text(hexdigits, min_size=2, max_size=2), min_size=6, max_size=6),
    st.sampled_from(":-"),
)
_free = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60
)


def _hex(length):
    return st.text(hexdigits, min_size=length, max_size=length)


WALLETS = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    (
        "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjy"
        "Pbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H"
    ),
]
"""Examples: Bitcoin's genesis block, BIP 173, BIP 350, EIP-55, Monero's donation address."""

RAW = {
    T.IPV4: ipv4 | networks.filter(lambda text: ":" not in text),
    T.IPV6: ipv6 | networks.filter(lambda text: ":" in text),
    T.DOMAIN: domains,
    T.URL: urls,
    T.EMAIL: emails,
    T.MAC: macs,
    T.ASN: st.integers(1, 2**32 - 1).map(lambda number: f"as{number}"),
    T.MD5: _hex(32),
    T.SHA1: _hex(40),
    T.SHA256: _hex(64),
    T.SHA512: _hex(128),
    T.SSDEEP: st.builds(
        lambda size, first, second: f"{size}:{first}:{second}",
        st.integers(0, 20).map(lambda doubled: 3 << doubled),
        # Shorter parts, or such without letters, are taken for a time of day.
        _label.map(lambda label: f"{label}aBcD/+"),
        _label.map(lambda label: f"{label}xyz"),
    ).filter(lambda text: "_" not in text and "-" not in text),
    T.TLSH: _hex(70),
    T.FILE_NAME: _free,
    T.X509_SHA1: _hex(40),
    T.X509_SHA256: _hex(64),
    T.VULNERABILITY: st.integers(1000, 10**7).map(lambda number: f"cve-2024-{number}"),
    T.REGISTRY_KEY: _free.map(lambda key: f"HKLM\\{key}"),
    T.MUTEX: _free,
    T.IMPHASH: _hex(32),
    T.FILE_PATH: _free.map(lambda text: f"/{text}")
    | _free.map(lambda text: f"c:\\{text}")
    | _free.map("%TEMP%/{}".format),
    T.JA3: _hex(32),
    T.JA4: st.builds("t13d1516h2_{}_{}".format, _hex(12), _hex(12)),
    T.USER_AGENT: _free,
    T.WALLET: st.sampled_from(WALLETS) | _hex(40).map(lambda text: f"0x{text.lower()}"),
}
SHAPELESS = {
    T.FILE_NAME,
    T.MUTEX,
    T.X509_SHA1,
    T.X509_SHA256,
    T.IMPHASH,
    T.JA3,
    T.USER_AGENT,
    T.FILE_PATH,
}
"""Types that `detect` never guesses."""
