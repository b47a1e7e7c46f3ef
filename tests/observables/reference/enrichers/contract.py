"""The contract of offline enrichers; a test inherits it and names the enricher and values."""

from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.observables.reference.enrichers.base import Facts, OfflineEnricher
from shared.stix import ObservableType, normalise


class OfflineContract:
    """Inherit, create the enricher, and name values of each of its types."""

    described: ClassVar[dict[str, list[str]]]
    """Values of each type that the enricher has facts about."""

    undescribed: ClassVar[dict[str, list[str]]]
    """Values of each type that it has no facts about; may be empty."""

    @classmethod
    def make(cls) -> OfflineEnricher:
        raise NotImplementedError

    @classmethod
    def values(cls, type_: str) -> list[str]:
        return cls.described.get(type_, []) + cls.undescribed.get(type_, [])

    def all_facts(self) -> list[Facts]:
        enricher = self.make()
        facts: list[Facts] = []
        for type_ in enricher.types:
            facts += [item for item in enricher.enrich(type_, self.values(type_)) if item]
        return facts

    def test_the_samples_are_canonical(self):
        for type_ in self.make().types:
            for value in self.values(type_):
                assert normalise(type_, value) == value

    def test_it_has_a_name_and_known_types(self):
        enricher = self.make()
        assert enricher.name.isidentifier()
        assert enricher.name.islower()
        types = {str(type_) for type_ in ObservableType}
        assert set(self.described) == set(enricher.types) <= types

    def test_it_describes_the_values_it_has_facts_about_and_no_others(self):
        enricher = self.make()
        for type_ in enricher.types:
            assert None not in enricher.enrich(type_, self.described[type_])
            assert set(enricher.enrich(type_, self.undescribed.get(type_, []))) <= {None}

    # Each class that inherits the test is an executor of its own.
    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_length_and_order_are_kept(self, data):
        enricher = self.make()
        type_ = data.draw(st.sampled_from(sorted(enricher.types)))
        values = data.draw(st.lists(st.sampled_from(self.values(type_)), max_size=30))
        alone = {value: enricher.enrich(type_, [value])[0] for value in values}
        assert list(enricher.enrich(type_, values)) == [alone[value] for value in values]

    def test_an_enricher_without_weight_has_no_effects(self):
        enricher = self.make()
        effects = [effect for facts in self.all_facts() for effect in enricher.effects(facts)]
        assert enricher.weighs or not effects

    def test_it_is_deterministic(self):
        enricher = self.make()
        other = self.make()
        for type_ in enricher.types:
            values = self.values(type_)
            first = list(enricher.enrich(type_, values))
            assert first == list(enricher.enrich(type_, values))
            assert first == list(other.enrich(type_, values))

    def test_facts_are_json_and_survive_it(self):
        enricher = self.make()
        for facts in self.all_facts():
            assert all(isinstance(key, str) for key in facts)
            decoded = msgspec.json.decode(msgspec.json.encode(facts))
            assert decoded == facts
            # Facts are stored, and decoded before they count.
            assert list(enricher.effects(decoded)) == list(enricher.effects(facts))

    def test_effects_are_within_bounds_and_give_a_reason(self):
        enricher = self.make()
        for facts in self.all_facts():
            for effect in enricher.effects(facts):
                assert -1 <= effect.weight <= 1
                assert effect.weight != 0
                assert effect.reason.endswith(".")
                assert effect.reason == effect.reason.strip()

    @pytest.mark.parametrize("type_", [*map(str, ObservableType), "no-such-type"])
    def test_other_types_have_no_facts(self, type_):
        enricher = self.make()
        if type_ not in enricher.types:
            assert list(enricher.enrich(type_, ["a", "b"])) == [None, None]

    def test_no_values_have_no_facts(self):
        enricher = self.make()
        for type_ in enricher.types:
            assert list(enricher.enrich(type_, [])) == []
