"""The examples of STIX 2.1 §9 and of the OASIS validator: each gives what it names, or a reason."""

from importlib.resources import files

import pytest
from stix2patterns.test.v21.test_validator import PASS_CASES, TIMESTAMP_PASS_CASES

from services.feeds.formats.stix_pattern import PatternProblem, comparisons
from tests.feeds.formats.pattern_reader import ReferenceTree

SPECIFICATION = (
    files("stix2patterns.test.v21").joinpath("spec_examples.txt").read_text().splitlines()
)
SHA256 = "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f"
NO_SINGLE_VALUE = "names no single value"
HKCU = "HKEY_CURRENT_USER\\Software"
EXPECTED: list[list[tuple[str, str]] | str] = [
    [("file-sha256", SHA256)],
    f"email-message:from_ref.value MATCHES {NO_SINGLE_VALUE}",
    [("file-sha256", SHA256)],
    [],
    "FOLLOWEDBY is about an order in time",
    [],
    f"artifact:payload_bin MATCHES {NO_SINGLE_VALUE}",
    [],
    f"file:extensions.'windows-pebinary-ext'.sections[*].entropy > {NO_SINGLE_VALUE}",
    [],
    [("address", "203.0.113.33/32")],
    "REPEATS is about times, not about values",
    [("domain-name", "www.5z8.info")],
    [("url", "http://example.com/foo"), ("url", "http://example.com/bar")],
    [],
    [
        ("windows-registry-key", f"{HKCU}\\CryptoLocker\\Files"),
        (
            "windows-registry-key",
            f"{HKCU}\\Microsoft\\CurrentVersion\\Run\\CryptoLocker_0388",
        ),
    ],
    [],
    [],
    [],
    f"process:command_line MATCHES {NO_SINGLE_VALUE}",
    [("address", "2001:0db8:dead:beef:0000:0000:0000:0000/64")],
    [],
    [("file-md5", "cead3f77f6cda6ec00f57d76c9a69faa")],
]
"""What each example claims, in the order of the file: values that satisfy it, or the reason."""


def test_every_example_of_the_specification_has_its_expectation() -> None:
    assert len(SPECIFICATION) == len(EXPECTED) == 23


@pytest.mark.parametrize(
    ("pattern", "expected"), list(zip(SPECIFICATION, EXPECTED, strict=True)), ids=range(23)
)
def test_an_example_of_the_specification(
    pattern: str, expected: list[tuple[str, str]] | str
) -> None:
    if isinstance(expected, str):
        with pytest.raises(PatternProblem) as problem:
            comparisons(pattern)
        assert (problem.value.reason, problem.value.detail) == ("unsupported pattern", expected)
        return
    values = [value for value in comparisons(pattern) if value.is_known and not value.is_context]
    assert [(value.type or "address", value.value) for value in values] == expected


@pytest.mark.parametrize("pattern", [*SPECIFICATION, *PASS_CASES, *TIMESTAMP_PASS_CASES])
def test_a_valid_example_is_read_as_the_reference_reads_it_or_refused_with_a_word_of_it(
    pattern: str,
) -> None:
    try:
        values = [(value.path, value.value) for value in comparisons(pattern)]
    except PatternProblem as problem:
        refusal = problem
    else:
        assert values == [(path, text) for path, text, _ in ReferenceTree(pattern).values()]
        return
    assert refusal.reason == "unsupported pattern"
    assert any(word in pattern for word in refusal.detail.split())
