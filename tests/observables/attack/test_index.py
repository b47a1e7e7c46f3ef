"""Names as feeds write them, and the ATT&CK ids that they stand for."""

from collections.abc import Iterable
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mitre.releases.bundle import read_release
from services.observables.attack.index import AttackIndex, pack, statements
from services.observables.attack.names import NAMES, normalize_name
from shared.errors import InvalidInput
from shared.events.mitre import TechniqueCard, TechniqueUser
from tests.conftest import SAMPLE_DATA

STRIKE = TechniqueUser("S0154", "Cobalt Strike", "malware")
EMOTET = TechniqueUser("S0367", "Emotet", "malware", ["Geodo"])
AT = TechniqueUser("S0110", "at", "tool")
MIMIKATZ = TechniqueUser("S0002", "Mimikatz", "tool")
WIPER = TechniqueUser("S0041", "Wiper", "malware")
BEAR = TechniqueUser("G0007", "APT28", "group", ["Fancy Bear", "STRONTIUM"])
AKIRA = TechniqueUser("S1129", "Akira", "malware")
AKIRA_GROUP = TechniqueUser("G1024", "Akira", "group")


def card(attack_id: str, *users: TechniqueUser, **more: object) -> TechniqueCard:
    empty = TechniqueCard(
        attack_id, f"attack-pattern--{attack_id}", attack_id, "enterprise-attack", "18.1", **more
    )
    software = [user for user in users if user.kind != "group"]
    groups = [user for user in users if user.kind == "group"]
    return msgspec.structs.replace(empty, software=software, groups=groups)


CARDS = [
    card("T1059", STRIKE, BEAR, MIMIKATZ, AT),
    card("T1059.001", STRIKE, EMOTET, WIPER),
    card("T1486", AKIRA, AKIRA_GROUP),
    card("T1086", EMOTET, revoked=True, revoked_by="T1059.001"),
    card("T1100", STRIKE, deprecated=True),
    card("T1101", revoked=True),
    card("T1102", revoked=True, revoked_by="T1103"),
    card("T1103", revoked=True, revoked_by="T1102"),
]
INDEX = AttackIndex(pack(CARDS))
COBALT = ("S0154", "T1059", "T1059.001")
BEARS = ("G0007", "T1059")


@pytest.mark.parametrize(
    ("tag", "ids"),
    [
        ("T1059.001", ("T1059.001",)),
        ("t1059", ("T1059",)),
        ("attack:T1059", ("T1059",)),
        ('mitre-attack:technique="T1059"', ("T1059",)),
        ('misp-galaxy:mitre-attack-pattern="PowerShell - T1059.001"', ("T1059.001",)),
        ("S0154", COBALT),
        ("G0007", BEARS),
        ("Cobalt Strike", COBALT),
        ("cobalt_strike", COBALT),
        ("COBALT-STRIKE", COBALT),
        ("malware:CobaltStrike", COBALT),
        ('misp-galaxy:mitre-malware="Cobalt Strike - S0154"', COBALT),
        ('misp-galaxy:mitre-malware="Cobalt Strike - S0154', COBALT),
        ('misp-galaxy:malpedia="Cobalt Strike"', COBALT),
        ('misp-galaxy:threat-actor="Fancy Bear"', BEARS),
        ("fancybear", BEARS),
        ("apt28", BEARS),
        ("actor:Strontium", BEARS),
        ("tool:Mimikatz", ("S0002", "T1059")),
        # Software and the group that sells it share a name: the tag means the software.
        ("akira", ("S1129", "T1486")),
        ("actor:akira", ("G1024", "T1486")),
        ("ransomware:akira", ("S1129", "T1486")),
        # A technique that ended stands for its successor, if it has one.
        ("T1086", ("T1059.001",)),
        ("T1100", ()),
        ("T1101", ()),
        ("T1102", ()),
        # Unknown names, and tags that name no malware or group.
        ("T9999", ()),
        ("S9999", ()),
        ("wiper", ()),
        ("at", ()),
        ("mimikatz", ("S0002", "T1059")),
        ("phishing", ()),
        ("country:Emotet", ()),
        ('misp-galaxy:country="Akira"', ()),
        ("tlp:amber", ()),
        ("", ()),
        ("---", ()),
        ("attack:initial-access", ()),
    ],
)
def test_a_tag_stands_for(tag: str, ids: tuple[str, ...]) -> None:
    assert INDEX.attack_ids(None, (tag,)) == ids


@pytest.mark.parametrize(
    ("family", "ids"),
    [
        ("Emotet", ("S0367", "T1059.001")),
        ("geodo", ("S0367", "T1059.001")),
        ("win.cobalt_strike", COBALT),
        ("S0154", COBALT),
        ("Mimikatz", ("S0002", "T1059")),
        ("Akira", ("S1129", "T1486")),
        ("Fancy Bear", BEARS),
        ("Wiper", ()),
        ("unheard of", ()),
        ("win.", ()),
        ("\0", ()),
    ],
)
def test_a_family_stands_for(family: str, ids: tuple[str, ...]) -> None:
    assert INDEX.attack_ids(family, ()) == ids


def test_a_family_and_tags_together_stand_for_all_of_it_sorted_and_once() -> None:
    assert INDEX.attack_ids("Emotet", ("apt28", "c2", "T1486", "emotet")) == (
        "G0007",
        "S0367",
        "T1059",
        "T1059.001",
        "T1486",
    )


def test_equal_words_give_the_same_object() -> None:
    assert INDEX.attack_ids("Emotet", ("c2",)) is INDEX.attack_ids("Emotet", ("c2",))


def test_the_order_of_cards_makes_no_difference() -> None:
    assert {pack(some) for some in permutations(CARDS[:4])} == {pack(CARDS[:4])}
    assert AttackIndex(pack([])).attack_ids("Emotet", ("T1059",)) == ()


def test_other_bytes_are_no_index() -> None:
    for packed in (b"", b"{}", pack(CARDS)[:-3], b"\xc1"):
        with pytest.raises(InvalidInput, match="no packed index"):
            AttackIndex(packed)


def test_what_a_source_states_is_told_from_what_follows_from_it() -> None:
    tags = ("T1059.001", "emotet", "apt28")
    ids = INDEX.attack_ids(None, tags)
    assert statements(ids, tags) == (
        ("G0007", "S0367", "T1059.001"),
        ("T1059",),
    )
    assert statements(("T1059.001",), ("T1086",)) == (("T1059.001",), ())
    assert statements(COBALT, ("report on T1059 and others",)).stated == ("S0154",)
    assert statements(COBALT, ('misp-galaxy:mitre-attack-pattern="X - T1059"',)).inherited == (
        "T1059.001",
    )


@given(st.lists(st.sampled_from(["emotet", "apt28", "T1486", "attack:T1059", "c2", "akira"])))
def test_no_technique_is_stated_without_its_id_in_a_tag(tags: list[str]) -> None:
    ids = INDEX.attack_ids(None, tuple(tags))
    stated, inherited = statements(ids, tuple(tags))
    assert sorted((*stated, *inherited)) == list(ids)
    techniques = {attack_id for attack_id in stated if attack_id[0] == "T"}
    assert techniques == {tag[-5:] for tag in tags if tag[-5:-4] == "T"}


SPELLINGS = st.sampled_from(["Cobalt Strike", "Emotet", "Fancy Bear", "Geodo", "Akira"])
SIGNS = st.text(st.sampled_from(" -_./"), max_size=3)


@given(SPELLINGS, SIGNS, SIGNS, st.booleans())
def test_case_and_signs_make_no_difference(
    name: str, before: str, between: str, upper: bool
) -> None:
    written = between.join(name.split(" ")).upper() if upper else between.join(name.split(" "))
    assert INDEX.attack_ids(None, (before + written,)) == INDEX.attack_ids(None, (name,)) != ()
    assert normalize_name(before + written) == normalize_name(name)


@given(st.text(max_size=60) | st.none(), st.lists(st.text(max_size=80), max_size=5))
def test_any_text_gives_only_known_ids(family: str | None, tags: list[str]) -> None:
    ids = INDEX.attack_ids(family, tuple(tags))
    assert list(ids) == sorted(set(ids))
    named = {card.attack_id for card in CARDS}
    for card in CARDS:
        named |= {user.attack_id for user in (*card.software, *card.groups)}
    assert set(ids) <= named - {"T1086", "T1100", "T1101", "T1102", "T1103"}
    # The ids of one tag do not depend on the others.
    alone = set(INDEX.attack_ids(family, ()))
    for tag in tags:
        alone |= set(INDEX.attack_ids(None, (tag,)))
    assert set(ids) == alone


def shared_names(users: Iterable[TechniqueUser]) -> frozenset[str]:
    """Names that several pieces of software, or several groups, have."""
    owners: dict[tuple[bool, str], set[str]] = {}
    for user in users:
        for name in (user.name, *user.aliases):
            key = (user.kind == "group", normalize_name(name))
            owners.setdefault(key, set()).add(user.attack_id)
    return frozenset(name for (_, name), ids in owners.items() if len(ids) > 1)


@pytest.mark.parametrize(
    "path", sorted(SAMPLE_DATA.glob("attack-*.json")), ids=lambda path: path.name
)
def test_every_name_of_a_published_release_is_found(path) -> None:
    release = read_release(path.read_bytes())
    cards = []
    for key, technique in release.techniques.items():
        users = (release.usage[key],) if key in release.usage else ()
        cards.append(technique.card("ics-attack", "1", *users))
    index = AttackIndex(pack(cards))
    users_by_id: dict[str, TechniqueUser] = {}
    for technique_card in cards:
        for user in (*technique_card.software, *technique_card.groups):
            users_by_id[user.attack_id] = user
    assert len(users_by_id) > 20
    shared = shared_names(users_by_id.values())
    for user in users_by_id.values():
        for name in (user.name, *user.aliases):
            namespace = "actor" if user.kind == "group" else "malware"
            ids = index.attack_ids(None, (f"{namespace}:{name}",))
            is_shared = normalize_name(name) in shared | NAMES.ambiguous
            assert is_shared or user.attack_id in ids, name
        used = {
            technique_card.attack_id
            for technique_card in cards
            if user in (*technique_card.software, *technique_card.groups)
        }
        ids = index.attack_ids(None, (user.attack_id,))
        assert {attack_id for attack_id in ids if attack_id[0] == "T"} == used
