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

from services.mitre.releases import repository, service
from services.mitre.releases.bundle import read_release
from shared.database import PLATFORM, PUBLIC, Database
from shared.events.mitre import TechniqueUser
from shared.settings import Settings
from tests.conftest import SAMPLE_DATA

Make = Callable[..., Any]
REAL = sorted(SAMPLE_DATA.glob("attack-*.json"))


def cards(own: Database) -> dict[str, dict[str, Any]]:
    """The cards told since they were asked for last, by technique."""
    query = "DELETE FROM outbox WHERE topic = 'mitre.techniques.v1' RETURNING id, payload"
    with own.transaction(PLATFORM) as session:
        told = [
            msgspec.json.decode(bytes(row.payload))
            for row in sorted(session.execute(sa.text(query)).all())
        ]
    return {card["attack_id"]: card for card in told}


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
        assert [one["status"] for one in run_pending()] == ["succeeded"]

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

    assert set(release.users) == {"T1001"}
    assert release.users["T1001"].software == (
        TechniqueUser("S0002", "Mimikatz", "tool"),
        TechniqueUser("S0005", "Readable", "malware"),
        TechniqueUser("S0367", "Emotet", "malware", ["Geodo"]),
    )
    assert release.users["T1001"].groups == (
        TechniqueUser("G0007", "APT28", "group", ["Fancy Bear"]),
    )
    card = release.techniques["T1001"].card("enterprise-attack", "1.0", release.users["T1001"])
    assert [one.name for one in card.software] == ["Mimikatz", "Readable", "Emotet"]


def test_a_relationship_that_was_revoked_uses_nothing(
    make_bundle: Make, make_pattern: Make, make_user: Make
) -> None:
    software, uses = make_user("S0367", "Emotet", "T1001")
    gone = make_bundle("1.0", make_pattern("T1001", "Used"), software, {**uses, "revoked": True})

    assert read_release(gone).users == {}


def test_a_card_is_told_again_when_others_use_its_technique(
    own: Database, load: Make, make_bundle: Make, make_pattern: Make, make_user: Make
) -> None:
    techniques = [make_pattern("T1001", "One"), make_pattern("T1002", "Two")]
    load(make_bundle("1.0", *techniques, *make_user("S0367", "Emotet", "T1001")))
    first = cards(own)
    assert {
        key: [one["name"] for one in card.get("software", [])] for key, card in first.items()
    } == {
        "T1001": ["Emotet"],
        "T1002": [],
    }

    load(
        make_bundle(
            "2.0",
            *techniques,
            *make_user("S0367", "Emotet", "T1001"),
            *make_user("S1", "New", "T1002"),
        )
    )

    assert {key: [one["name"] for one in card["software"]] for key, card in cards(own).items()} == {
        "T1002": ["New"]
    }
    with own.transaction(PUBLIC) as session:
        (row,) = [row for row in repository.list_releases(session) if row.current]
        assert row.diff == {}, "the technique itself is what it was"


def test_cards_that_were_told_with_less_are_told_again_once(
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

    service.refresh(own, environment, "system")

    assert cards(own) == before
    service.refresh(own, environment, "system")
    assert cards(own) == {}


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_users_are_what_mitres_library_says(path: Path) -> None:
    data, release = MitreAttackData(str(path)), read_release(path.read_bytes())
    active = {
        one["id"]
        for one in json.loads(path.read_bytes())["objects"]
        if not (one.get("revoked") or one.get("x_mitre_deprecated"))
    }
    for attack_id, technique in release.techniques.items():
        users = release.users.get(attack_id)
        theirs = {
            data.get_attack_id(one["object"]["id"])
            for one in data.get_software_using_technique(technique.stix_id)
            if one["object"]["id"] in active
        }
        assert ({one.attack_id for one in users.software} if users else set()) == theirs
        # The library also counts groups to which a campaign that used the technique is attributed.
        groups = {
            data.get_attack_id(one["object"]["id"])
            for one in data.get_groups_using_technique(technique.stix_id)
        }
        assert not users or {one.attack_id for one in users.groups} <= groups
    assert sum(len(users.software) for users in release.users.values()) > 100


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_what_is_stored_says_the_same_as_what_was_read(
    own: Database, load: Make, path: Path
) -> None:
    load(path.read_bytes())

    release = read_release(path.read_bytes())
    with own.transaction(PUBLIC) as session:
        (row,) = repository.list_releases(session)
        assert (
            repository.users_of(session, row.id, repository.techniques_of(session, row.id))
            == release.users
        )
