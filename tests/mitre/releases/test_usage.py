"""Software and groups on the cards of the techniques they use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from mitreattack.stix20 import MitreAttackData
from starlette.testclient import TestClient

from services.mitre.imports.service import refresh
from services.mitre.releases import repository
from services.mitre.releases.bundle import read_release
from services.mitre.releases.usage import UNUSED
from shared.database import PLATFORM, PUBLIC, Database
from shared.events.mitre import TechniqueUser
from shared.settings import Settings
from tests.conftest import SAMPLE_DATA

Make = Callable[..., Any]
REAL = sorted(SAMPLE_DATA.glob("attack-*.json"))


def cards(own: Database) -> dict[str, dict[str, Any]]:
    """The cards published since the last call, by technique."""
    query = "DELETE FROM outbox WHERE topic = 'mitre.techniques.v1' RETURNING id, payload"
    with own.transaction(PLATFORM) as session:
        published = [
            msgspec.json.decode(bytes(row.payload))
            for row in sorted(session.execute(sa.text(query)).all())
        ]
    return {card["attack_id"]: card for card in published}


def software(by_technique: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Names of the software on each card."""
    names = {}
    for attack_id, card in by_technique.items():
        names[attack_id] = [user["name"] for user in card.get("software", [])]
    return names


@pytest.fixture
def load(
    own: Database,
    client_for: Callable[..., TestClient],
    run_pending: Callable[[], list[dict[str, Any]]],
) -> Callable[[bytes], None]:
    """Loads a bundle into a service that has nothing yet."""
    with own.transaction(PLATFORM) as session:
        for table in ("load", "source", "release", "technique", "object", "outbox"):
            session.execute(sa.text(f"DELETE FROM {table}"))
    operator = client_for("mitre", role="operator")

    def do(content: bytes) -> None:
        assert (
            operator.post("/v1/loads/upload", params={"name": "a"}, content=content).status_code
            == 202
        )
        assert [outcome["status"] for outcome in run_pending()] == ["succeeded"]

    return do


def test_a_technique_names_the_active_software_and_groups_that_use_it(
    make_bundle: Make, make_pattern: Make, make_user: Make
) -> None:
    release = read_release(
        make_bundle(
            "1.0",
            make_pattern("T1001", "Used"),
            make_pattern("T1002", "Not used"),
            *make_user("S0367", "Emotet", "T1001", x_mitre_aliases=["Emotet", "Geodo"]),
            *make_user("S0002", "Mimikatz", "T1001", kind="tool"),
            *make_user("S0003", "Gone", "T1001", revoked=True),
            *make_user("S0004", "Old", "T1001", x_mitre_deprecated=True),
            *make_user("S0005", "N\0", "T1001", x_mitre_aliases=["Readable"]),
            *make_user(
                "G0007", "APT28", "T1001", kind="intrusion-set", aliases=["APT28", "Fancy Bear"]
            ),
            *make_user("C0001", "A campaign", "T1001", kind="campaign"),
        )
    )

    assert set(release.usage) == {"T1001"}
    assert release.usage["T1001"].software == (
        TechniqueUser("S0002", "Mimikatz", "tool"),
        TechniqueUser("S0005", "Readable", "malware"),
        TechniqueUser("S0367", "Emotet", "malware", ["Geodo"]),
    )
    assert release.usage["T1001"].groups == (
        TechniqueUser("G0007", "APT28", "group", ["Fancy Bear"]),
    )
    card = release.techniques["T1001"].card("enterprise-attack", "1.0", release.usage["T1001"])
    assert [user.name for user in card.software] == ["Mimikatz", "Readable", "Emotet"]


def test_a_relationship_that_was_revoked_uses_nothing(
    make_bundle: Make, make_pattern: Make, make_user: Make
) -> None:
    software, uses = make_user("S0367", "Emotet", "T1001")
    gone = make_bundle("1.0", make_pattern("T1001", "Used"), software, {**uses, "revoked": True})

    assert read_release(gone).usage == {}


def test_a_card_is_published_again_when_its_usage_changes(
    own: Database, load: Make, make_bundle: Make, make_pattern: Make, make_user: Make
) -> None:
    techniques = [make_pattern("T1001", "One"), make_pattern("T1002", "Two")]
    load(make_bundle("1.0", *techniques, *make_user("S0367", "Emotet", "T1001")))
    first = cards(own)
    assert software(first) == {"T1001": ["Emotet"], "T1002": []}

    load(
        make_bundle(
            "2.0",
            *techniques,
            *make_user("S0367", "Emotet", "T1001"),
            *make_user("S1", "New", "T1002"),
        )
    )

    assert software(cards(own)) == {"T1002": ["New"]}
    with own.transaction(PUBLIC) as session:
        (row,) = [row for row in repository.list_releases(session) if row.current]
        assert row.diff == {}, "the technique itself is what it was"


def test_cards_that_were_published_with_less_are_published_again_once(
    own: Database,
    load: Make,
    environment: Settings,
    make_bundle: Make,
    make_pattern: Make,
    make_user: Make,
) -> None:
    load(make_bundle("1.0", make_pattern("T1001", "One"), *make_user("S0367", "Emotet", "T1001")))
    before = cards(own)
    with own.transaction(PUBLIC) as session:
        session.execute(sa.text("UPDATE release SET cards = 0"))  # as an older version left it

    refresh(own, environment, "system")

    assert cards(own) == before
    refresh(own, environment, "system")
    assert cards(own) == {}


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_usage_is_what_mitres_library_says(path: Path) -> None:
    data = MitreAttackData(str(path))
    release = read_release(path.read_bytes())
    active = {
        item["id"]
        for item in json.loads(path.read_bytes())["objects"]
        if not (item.get("revoked") or item.get("x_mitre_deprecated"))
    }
    for attack_id, technique in release.techniques.items():
        usage = release.usage.get(attack_id, UNUSED)
        programs = {
            data.get_attack_id(item["object"]["id"])
            for item in data.get_software_using_technique(technique.stix_id)
            if item["object"]["id"] in active
        }
        assert {user.attack_id for user in usage.software} == programs
        # The library also counts groups to which a campaign that used the technique is attributed.
        groups = {
            data.get_attack_id(item["object"]["id"])
            for item in data.get_groups_using_technique(technique.stix_id)
        }
        assert {user.attack_id for user in usage.groups} <= groups
    assert sum(len(usage.software) for usage in release.usage.values()) > 100


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_usage_of_stored_objects_is_usage_of_the_bundle(
    own: Database, load: Make, path: Path
) -> None:
    load(path.read_bytes())

    release = read_release(path.read_bytes())
    with own.transaction(PUBLIC) as session:
        (row,) = repository.list_releases(session)
        assert (
            repository.usage_of(session, row.id, repository.techniques_of(session, row.id))
            == release.usage
        )
