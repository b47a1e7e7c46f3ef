"""The catalogue of exploited vulnerabilities: the entries it keeps, and the files it refuses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference import kev_catalog, packed_arrays
from services.observables.reference.kev_catalog import KevCatalog, KevEntry
from shared.errors import InvalidInput

LOG4J = {
    "cveID": "CVE-2021-44228",
    "vendorProject": "Apache",
    "product": "Log4j2",
    "vulnerabilityName": "Apache Log4j2 Remote Code Execution Vulnerability",
    "dateAdded": "2021-12-10",
    "shortDescription": "…",
    "requiredAction": "…",
    "dueDate": "2021-12-24",
    "knownRansomwareCampaignUse": "Known",
    "cwes": ["CWE-20"],
}
OTHER = LOG4J | {
    "cveID": "CVE-2020-0001",
    "knownRansomwareCampaignUse": "Unknown",
    "dateAdded": "2022-01-02",
}


def catalogue(*entries: dict, version: str = "2026.11.20") -> bytes:
    return json.dumps(
        {"title": "KEV", "catalogVersion": version, "vulnerabilities": entries}
    ).encode()


def packing(*files: bytes) -> KevCatalog:
    return KevCatalog(kev_catalog.pack((f"kev-{at}.json", data) for at, data in enumerate(files)))


def test_an_entry_is_found_by_its_number():
    catalog = packing(catalogue(LOG4J, OTHER))
    assert catalog.find("CVE-2021-44228") == KevEntry(
        "2021-12-10", True, LOG4J["vulnerabilityName"]
    )
    assert catalog.find("CVE-2020-0001") == KevEntry(
        "2022-01-02", False, LOG4J["vulnerabilityName"]
    )
    assert catalog.find("CVE-1999-0001") is None
    assert len(catalog) == 2
    assert catalog.version == "2026.11.20"


def test_of_two_catalogues_the_later_one_counts_with_the_newest_version():
    newer = catalogue(LOG4J | {"dateAdded": "2025-05-05"}, version="2026.11.21")
    catalog = packing(catalogue(LOG4J, OTHER), newer)
    assert catalog.find("CVE-2021-44228").since == "2025-05-05"
    assert catalog.version == "2026.11.21"
    assert len(catalog) == 2


def test_entries_from_before_ransomware_was_recorded_are_read():
    old = {key: value for key, value in LOG4J.items() if key != "knownRansomwareCampaignUse"}
    assert packing(catalogue(old)).find("CVE-2021-44228").ransomware is False


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "kev-1.json"),
        (b"<html>", "kev-1.json"),
        (b"[]", "kev-1.json"),
        (b'{"vulnerabilities": 5}', r"\$\.vulnerabilities"),
        (catalogue(LOG4J, {"cveID": "CVE-2020-0001"}), r"\$\.vulnerabilities\[1\]"),
        (catalogue(LOG4J | {"dateAdded": "yesterday"}), r"\$\.vulnerabilities\[0\]\.dateAdded"),
        (catalogue(LOG4J | {"cveID": "log4shell"}), r"\$\.vulnerabilities\[0\]\.cveID"),
        (catalogue(LOG4J)[:-9], "kev-1.json, line 1"),
        (b'{\n"vulnerabilities": [\n}', "kev-1.json, line 3"),
        (b'{"title": "\xff"}', "kev-1.json"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_by_name_and_place(data, place):
    with pytest.raises(InvalidInput, match=r"kev-1\.json") as caught:
        packing(catalogue(LOG4J), data)
    caught.match(place)


def test_other_packed_data_are_refused():
    with pytest.raises(InvalidInput):
        KevCatalog(packed_arrays.pack({"kind": "networks"}, {}))
    with pytest.raises(InvalidInput):
        KevCatalog(b"")


@given(
    st.dictionaries(
        st.integers(0, 9999), st.tuples(st.dates(), st.booleans(), st.text(max_size=20))
    )
)
def test_packed_entries_are_found_again(entries):
    def entry_of(number, since, ransomware, name):
        return {
            "cveID": f"CVE-2000-{number:04}",
            "dateAdded": str(since),
            "vulnerabilityName": name,
            "knownRansomwareCampaignUse": "Known" if ransomware else "Unknown",
        }

    catalog = packing(catalogue(*(entry_of(number, *rest) for number, rest in entries.items())))
    for number in {*entries, 0, 9999}:
        expected = entries.get(number)
        entry = catalog.find(f"CVE-2000-{number:04}")
        assert entry == (expected and KevEntry(str(expected[0]), *expected[1:]))
