"""STIX patterns: the values that they name, and the reference implementation's verdict."""

import os
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2patterns.validator import validate

from services.feeds.formats.stix_pattern import MAX_PATTERN, PatternProblem, comparisons
from tests.feeds.formats.pattern_reader import ReferenceTree

MD5 = "a" * 32
SHA1 = "b" * 40


def named(pattern):
    return [(value.type and str(value.type), value.value) for value in comparisons(pattern)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ipv4-addr:value = '192.0.2.1']", [("ipv4-addr", "192.0.2.1")]),
        (" [ domain-name:value='a.example.com' ] ", [("domain-name", "a.example.com")]),
        ("[url:value = 'http://example.com/\\'a\\\\b']", [("url", "http://example.com/'a\\b")]),
        (
            "[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]",
            [("ipv4-addr", "192.0.2.1"), ("ipv4-addr", "192.0.2.2")],
        ),
        ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", [("ipv4-addr", "192.0.2.0/24")]),
        (f"[file:hashes.'SHA-256' = '{'a' * 64}']", [("file-sha256", "a" * 64)]),
        (
            f"[file:hashes.MD5 = '{MD5}' OR file:hashes.'SHA-1' = '{SHA1}']",
            [("file-md5", MD5), ("file-sha1", SHA1)],
        ),
        ("[file:name = 'x.exe']", [("file-name", "x.exe")]),
        (
            "[file:name = 'x.exe' OR file:name = 'y.exe']",
            [("file-name", "x.exe"), ("file-name", "y.exe")],
        ),
        (
            "[(url:value = 'u' OR mutex:name = 'm') AND mac-addr:value = 'a']",
            [("url", "u"), ("mutex", "m"), ("mac-addr", "a")],
        ),
        ("([url:value = 'u'] OR [url:value = 'v'])", [("url", "u"), ("url", "v")]),
        ("[url:value = 'u'] AND [url:value = 'v']", [("url", "u"), ("url", "v")]),
        ("[network-traffic:dst_ref.value = 'x']", [(None, "x")]),
        ("[domain-name:resolves_to_refs[*].value = '192.0.2.1']", [(None, "192.0.2.1")]),
        ("[autonomous-system:number = 64500]", [("autonomous-system", "64500")]),
        (f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']", [("x509-sha1", SHA1)]),
        ("[hostname:value = 'a.example.com']", [("domain-name", "a.example.com")]),
        (
            "[url:value = 'u' /* or */ OR // the other\n url:value = 'v']",
            [("url", "u"), ("url", "v")],
        ),
    ],
)
def test_what_a_pattern_names(pattern, expected):
    assert validate(pattern)
    assert expected == named(pattern)
    assert all(value.is_known for value in comparisons(pattern))


@pytest.mark.parametrize(
    ("pattern", "context"),
    [
        (f"[file:hashes.MD5 = '{MD5}' AND file:name = 'x.exe']", ["x.exe"]),
        (f"[file:name = 'x.exe' AND file:hashes.MD5 = '{MD5}' OR file:name = 'y.dll']", ["x.exe"]),
        (f"[file:name = 'y.dll' OR file:name = 'x.exe' AND file:hashes.MD5 = '{MD5}']", ["x.exe"]),
        (
            f"[(file:name = 'x' OR file:name = 'y') AND file:hashes.MD5 = '{MD5}']",
            ["x", "y"],
        ),
        (
            f"[file:name = 'x'] AND [file:hashes.MD5 = '{MD5}'] OR [file:name = 'y']",
            ["x", MD5],
        ),
        ("[file:name = 'x' AND process:pid = 5]", ["x", "5"]),
    ],
)
def test_a_files_name_beside_a_hash_is_context_in_its_own_branch(pattern, context):
    assert validate(pattern)
    assert [value.value for value in comparisons(pattern) if value.is_context] == context


def test_binary_constants_are_read_as_hexadecimal():
    encoded = b64encode(bytes.fromhex(SHA1)).decode()
    assert named(f"[file:hashes.MD5 = h'{MD5.upper()}']") == [("file-md5", MD5)]
    assert named(f"[file:hashes.'SHA-1' = b'{encoded}']") == [("file-sha1", SHA1)]


@pytest.mark.parametrize("constant", ["true", "false", "t'2026-01-01T00:00:00Z'"])
def test_booleans_and_times_are_constants_and_no_observables(constant):
    pattern = f"[network-traffic:dst_ref.value = '192.0.2.1' AND network-traffic:x = {constant}]"
    assert validate(pattern)
    address, other = comparisons(pattern)
    assert (address.value, address.is_known) == ("192.0.2.1", True)
    assert not other.is_known


@pytest.mark.parametrize(
    "path", ["process:pid", "file:size", "file:hashes.VHASH", "x-custom:value"]
)
def test_a_path_without_observables_is_not_known(path):
    (value,) = comparisons(f"[{path} = 5]")
    assert (value.path, value.is_known) == (path, False)


@pytest.mark.parametrize(
    ("pattern", "reason", "detail"),
    [
        ("", "malformed pattern", "it ends where '[' is expected"),
        ("[url:value = 'u'", "malformed pattern", "it ends where ']' is expected"),
        ("[url:value = 'u]", "malformed pattern", "not understood at character 14"),
        ("[url:value 'u']", "malformed pattern", "a comparison is expected at character 12"),
        ("[url:value = ]", "malformed pattern", "a value is expected at character 14"),
        ("[url:value = 'u'] OR", "malformed pattern", "it ends where '[' is expected"),
        (
            "[url:value = 'u'] [url:value = 'u']",
            "malformed pattern",
            "the end is expected at character 19",
        ),
        ("[url = 'u']", "malformed pattern", "an object path is expected at character 2"),
        ("[url:value IN ('u' 'v')]", "malformed pattern", "')' is expected at character 20"),
        ("[NOT url:value = 'u']", "unsupported pattern", "NOT names no value"),
        ("[url:value NOT = 'u']", "unsupported pattern", "url:value NOT names no single value"),
        ("[url:value != 'u']", "unsupported pattern", "url:value != names no single value"),
        ("[url:value LIKE 'u%']", "unsupported pattern", "LIKE"),
        ("[url:value = 'u'] FOLLOWEDBY [url:value = 'v']", "unsupported pattern", "FOLLOWEDBY"),
        ("[url:value = 'u'] WITHIN 5 SECONDS", "unsupported pattern", "WITHIN"),
        ("[url:value IN ()]", "unsupported pattern", "an empty set names no value"),
        ("[artifact:payload_bin = h'abc']", "malformed pattern", "a value is expected"),
        ("[artifact:payload_bin = b'====']", "malformed pattern", "a value is expected"),
        ("[url:value = maybe]", "malformed pattern", "a value is expected"),
        ("[url:value = 'u' /* never closed]", "malformed pattern", "not understood"),
        ("[" + "(" * 50 + "url:value = 'u'" + ")" * 50 + "]", "pattern too deep", "16"),
        ("[url:value = '" + "u" * 70_000 + "']", "pattern too long", "at most 65536"),
    ],
)
def test_what_is_refused(pattern, reason, detail):
    with pytest.raises(PatternProblem) as problem:
        comparisons(pattern)
    assert reason == problem.value.reason
    assert detail in problem.value.detail


@given(st.text("[]()'\\=:.,-* aANDORIurlvSTX", max_size=60) | st.text())
def test_any_text_is_read_or_refused(text):
    try:
        values = comparisons(text)
    except PatternProblem as problem:
        assert problem.reason  # noqa: PT017 - both ways out are fine
    else:
        assert values


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=20),
    st.sampled_from(["OR", "AND"]),
)
def test_every_value_comes_back_as_it_was(values, word):
    quoted = ["'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values]
    joined = f" {word} ".join(f"url:value = {text}" for text in quoted)
    assert [value for _, value in named(f"[{joined}]")] == values
    assert [value for _, value in named(f"[url:value IN ({', '.join(quoted)})]")] == values


def test_a_thousand_ors_are_taken():
    values = comparisons(
        " OR ".join(f"[ipv4-addr:value = '10.0.{n >> 8}.{n & 255}']" for n in range(1000))
    )
    assert len(values) == 1000


PATHS = (
    "ipv4-addr:value",
    "url:value",
    "file:name",
    "file:hashes.MD5",
    "file:hashes.'SHA-256'",
    "domain-name:resolves_to_refs[*].value",
    "network-traffic:extensions.'http-request-ext'.request_value",
    "process:pid",
)
SPACES = st.sampled_from([" ", "  ", "\n", "\t", " /* a * comment */ ", " // to the end\n"])
STRINGS = st.text("ab'\\ /*=.ü", max_size=8)
CONSTANTS = st.one_of(
    STRINGS.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    st.integers(-99, 99).map(str),
    st.sampled_from(["0.5", "-12.25", "true", "false", "t'2026-01-01T00:00:00Z'"]),
    st.binary(max_size=4).map(lambda data: f"h'{data.hex()}'"),
    st.binary(min_size=3, max_size=3).map(lambda data: f"b'{b64encode(data).decode()}'"),
)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """One comparison: a path, an operator that names values, constants."""
    path = draw(st.sampled_from(PATHS))
    space = draw(SPACES)
    if draw(st.booleans()):
        return f"{path}{space}={space}{draw(CONSTANTS)}"
    constants = draw(st.lists(CONSTANTS, min_size=1, max_size=3))
    return f"{path} IN{space}({f',{space}'.join(constants)})"


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Parts with AND and OR between them, some in parentheses."""

    def join(pieces: list[tuple[str, str]]) -> str:
        text = pieces[0][0]
        for piece, operator in pieces[1:]:
            text += f" {operator} {piece}"
        return text

    operators = st.sampled_from(["AND", "OR"])
    return st.lists(st.tuples(parts, operators), min_size=1, max_size=4).map(join)


PATTERNS = joined(
    joined(st.one_of(conditions(), joined(conditions()).map(lambda text: f"({text})"))).map(
        lambda text: f"[{text}]"
    )
)


@settings(max_examples=int(os.environ.get("SENTINELIQ_PATTERNS", "100")))
@given(PATTERNS)
def test_a_pattern_is_read_as_the_reference_reads_it(pattern: str) -> None:
    values = [(value.path, value.value, value.is_context) for value in comparisons(pattern)]
    assert values == ReferenceTree(pattern).values()


@pytest.mark.parametrize("prefix", ["", "[", "[url:value = ", "[url:value = 'u' "])
@pytest.mark.parametrize(
    "pump", ["a_", "a:a.", "'", "\\'", " ", "/*", "//", "a:'", "(", "1.", "h'"]
)
def test_the_time_is_linear_in_the_pattern(prefix: str, pump: str) -> None:
    pattern = prefix + pump * (MAX_PATTERN // len(pump))
    with pytest.raises(PatternProblem):
        comparisons(pattern[:MAX_PATTERN])
