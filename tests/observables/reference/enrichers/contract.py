"""What every offline enricher keeps, whatever it is asked. A test of one inherits this and names it and some values."""

from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.observables.reference.enrichers.base import OfflineEnricher
from shared.stix import ObservableType, normalise


class OfflineContract:
    """Inherit, say how the enricher is made, and name values of each of its types."""

    known: ClassVar[dict[str, list[str]]]
    """Values of each type the enricher has something to say about."""

    unknown: ClassVar[dict[str, list[str]]]
    """Values of each type about which it is silent; may be empty."""

    @classmethod
    def make(cls) -> OfflineEnricher:
        raise NotImplementedError

    @classmethod
    def values(cls, type_: str) -> list[str]:
        return cls.known.get(type_, []) + cls.unknown.get(type_, [])

    def test_the_samples_are_what_is_stored(self):
        for type_ in self.make().types:
            for value in self.values(type_):
                assert normalise(type_, value) == value

    def test_it_is_named_and_says_what_it_is_about(self):
        one = self.make()
        assert one.name.isidentifier()
        assert one.name.islower()
        assert set(self.known) == set(one.types) <= {str(type_) for type_ in ObservableType}

    def test_it_speaks_about_what_it_knows_and_of_nothing_else(self):
        one = self.make()
        for type_ in one.types:
            assert None not in one.enrich(type_, self.known[type_])
            assert set(one.enrich(type_, self.unknown.get(type_, []))) <= {None}

    @settings(
        suppress_health_check=[HealthCheck.differing_executors]
    )  # every class that inherits it is one
    @given(st.data())
    def test_length_and_order_are_kept(self, data):
        one = self.make()
        type_ = data.draw(st.sampled_from(sorted(one.types)))
        asked = data.draw(st.lists(st.sampled_from(self.values(type_)), max_size=30))
        alone = {value: one.enrich(type_, [value])[0] for value in asked}
        assert list(one.enrich(type_, asked)) == [alone[value] for value in asked]

    def test_what_weighs_nothing_says_so(self):
        one = self.make()
        said = [
            fact
            for type_ in one.types
            for fact in one.enrich(type_, self.values(type_))
            if fact is not None
        ]
        assert one.weighs or not any(one.effects(facts) for facts in said)

    def test_it_is_deterministic(self):
        one, other = self.make(), self.make()
        for type_ in one.types:
            asked = self.values(type_)
            assert (
                list(one.enrich(type_, asked))
                == list(one.enrich(type_, asked))
                == list(other.enrich(type_, asked))
            )

    def test_facts_are_json_and_survive_it(self):
        one = self.make()
        for type_ in one.types:
            for facts in one.enrich(type_, self.known[type_]):
                assert facts
                assert all(isinstance(key, str) for key in facts)
                again = msgspec.json.decode(msgspec.json.encode(facts))
                assert again == facts
                # They are stored, and read back before they count.
                assert list(one.effects(again)) == list(one.effects(facts))

    def test_effects_are_within_bounds_and_say_why(self):
        one = self.make()
        for type_ in one.types:
            for facts in one.enrich(type_, self.known[type_]):
                for effect in one.effects(facts):
                    assert -1 <= effect.weight <= 1
                    assert effect.weight != 0
                    assert effect.reason.endswith(".")
                    assert effect.reason == effect.reason.strip()

    @pytest.mark.parametrize("type_", [*map(str, ObservableType), "no-such-type"])
    def test_types_it_does_not_know_give_nothing(self, type_):
        one = self.make()
        if type_ not in one.types:
            assert list(one.enrich(type_, ["a", "b"])) == [None, None]

    def test_no_values_give_no_facts(self):
        one = self.make()
        for type_ in one.types:
            assert list(one.enrich(type_, [])) == []
