"""STIX patterns: the values that they name, and the reference implementation's verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stix2patterns.validator import validate

from services.feeds.formats.stix_pattern import PatternProblem, comparisons

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
        (f"[file:hashes.MD5 = '{MD5}' AND file:name = 'x.exe']", [("file-md5", MD5)]),
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
    ],
)
def test_what_a_pattern_names(pattern, expected):
    assert validate(pattern)
    assert expected == named(pattern)
    assert all(value.is_known for value in comparisons(pattern))


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
        ("[url:value = 'u]", "malformed pattern", "not understood at character 13"),
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
        ("[url:value = t'2026-01-01T00:00:00Z']", "malformed pattern", "a value is expected"),
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
