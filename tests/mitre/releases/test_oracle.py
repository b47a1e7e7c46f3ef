"""Techniques as this service reads them, against MITRE's own library."""

import os
from pathlib import Path

import pytest
from mitreattack.stix20 import MitreAttackData

from services.mitre.releases.bundle import read_release

SAMPLES = Path(
    os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[4] / "shared" / "data")
)
STARTER = Path(__file__).parents[3] / "sentineliq" / "starter" / "attack" / "attack-starter.json"
BUNDLES = [STARTER, *(path for path in sorted(SAMPLES.glob("attack-*.json")))]


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_techniques_are_what_mitres_library_says(path: Path) -> None:
    data = MitreAttackData(str(path))
    release = read_release(path.read_bytes())
    patterns = data.get_techniques(include_subtechniques=True, remove_revoked_deprecated=False)
    # The library does not know the reference name mitre-ics-attack, which techniques that were
    # deprecated long ago still have.
    ids = {
        item["id"]: data.get_attack_id(item["id"]) or item["external_references"][0]["external_id"]
        for item in patterns
    }
    parents = {
        ids[child]: ids[relations[0]["object"]["id"]]
        for child, relations in data.get_all_parent_techniques_of_all_subtechniques().items()
    }
    active = {
        data.get_attack_id(item["id"])
        for item in data.get_techniques(remove_revoked_deprecated=True)
    }

    techniques = release.techniques
    assert {card.attack_id: card.name for card in techniques.values()} == {
        ids[item["id"]]: item["name"] for item in patterns
    }
    assert {key for key, card in techniques.items() if card.is_active} == active
    assert {key: card.parent for key, card in techniques.items() if card.parent} == parents
    assert {key for key, card in techniques.items() if card.revoked} == {
        ids[item["id"]] for item in patterns if item.get("revoked")
    }
    tactics = data.get_tactics()
    assert {tactic for card in techniques.values() for tactic in card.tactics} <= {
        t["x_mitre_shortname"] for t in tactics
    }
    assert release.counts["attack-pattern"] == len(patterns)
