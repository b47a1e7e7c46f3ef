"""Our reading of ATT&CK against MITRE's own library."""

import os
from pathlib import Path

import pytest
from mitreattack.stix20 import MitreAttackData

from services.mitre.releases.bundle import read_release

SAMPLES = Path(
    os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[3] / "shared" / "data")
)
STARTER = Path(__file__).parents[2] / "sentineliq" / "starter" / "attack" / "attack-starter.json"
BUNDLES = [STARTER, *(path for path in sorted(SAMPLES.glob("attack-*.json")))]


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_techniques_are_what_mitres_library_says(path: Path) -> None:
    data = MitreAttackData(str(path))
    release = read_release(path.read_bytes())
    theirs = data.get_techniques(include_subtechniques=True, remove_revoked_deprecated=False)
    # The library does not know the reference name mitre-ics-attack, which long deprecated techniques still have.
    ids = {
        found["id"]: data.get_attack_id(found["id"])
        or found["external_references"][0]["external_id"]
        for found in theirs
    }
    parents = {
        ids[child]: ids[relations[0]["object"]["id"]]
        for child, relations in data.get_all_parent_techniques_of_all_subtechniques().items()
    }
    active = {
        data.get_attack_id(found["id"])
        for found in data.get_techniques(remove_revoked_deprecated=True)
    }

    ours = release.techniques
    assert {card.attack_id: card.name for card in ours.values()} == {
        ids[found["id"]]: found["name"] for found in theirs
    }
    assert {key for key, card in ours.items() if card.active} == active
    assert {key: card.parent for key, card in ours.items() if card.parent} == parents
    assert {key for key, card in ours.items() if card.revoked} == {
        ids[found["id"]] for found in theirs if found.get("revoked")
    }
    tactics = data.get_tactics()
    assert {tactic for card in ours.values() for tactic in card.tactics} <= {
        t["x_mitre_shortname"] for t in tactics
    }
    assert release.counts["attack-pattern"] == len(theirs)
