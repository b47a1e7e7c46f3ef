"""The files of a MISP feed, as MISP's own library reads and makes them."""

import json
from hashlib import md5

from hypothesis import HealthCheck, given, settings
from pymisp import MISPEvent

from services.observables.list_formats.base import Row
from services.observables.list_formats.registry import list_format_named
from tests.observables.list_formats.contract import LISTS, ListFormatContract, write


class TestMisp(ListFormatContract):
    format = list_format_named("misp")

    def read(self, text: str) -> set[str]:
        event = MISPEvent()
        event.load(json.loads(text))
        assert len({each.uuid for each in event.attributes}) == len(event.attributes)
        assert str(event.uuid) == json.loads(text)["Event"]["uuid"]
        return {each.value for each in event.attributes}


class TestMispManifest(ListFormatContract):
    format = list_format_named("misp-manifest")

    def read(self, text: str) -> set[str]:
        [(identity, described)] = json.loads(text).items()
        event = MISPEvent()
        event.load({"Event": {**described, "uuid": identity}})
        expected = event.manifest[identity]
        assert set(expected) <= set(described)
        assert expected["info"] == described["info"]
        return set()


class TestMispHashes(ListFormatContract):
    format = list_format_named("misp-hashes")

    def names(self, row: Row) -> set[str]:
        return {md5(row[1].encode(), usedforsecurity=False).hexdigest()}

    def read(self, text: str) -> set[str]:
        return {line.partition(",")[0] for line in text.splitlines()}

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_it_equals_what_the_library_makes(self, rows: list[Row]) -> None:
        event = MISPEvent()
        event.load(json.loads(write(list_format_named("misp"), rows)[0]))
        expected = {f"{digest},{event.uuid}" for digest in event.attributes_hashes("md5")}
        assert set(write(self.format, rows)[0].splitlines()) == expected
