"""Precision and recall of the mapping, on names that people have labelled.

`data/labelled_names.tsv` holds what feeds write: the field (family or tag), the name, and the
software or group of ATT&CK that it stands for, by name or id, or `-`. `data/attack_users.tsv`
holds the software and groups of ATT&CK: id, kind, name, aliases.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from services.observables.attack.index import AttackIndex, pack, statements
from services.observables.attack.names import NAMES, normalize_name, read_names
from shared.events.mitre import TechniqueCard, TechniqueUser

DATA: Final = Path(__file__).parent / "data"
TECHNIQUES: Final = ("T1001", "T1059", "T1486")


class LabelledName(NamedTuple):
    field: str
    name: str
    expected: str | None


def read_users() -> list[TechniqueUser]:
    users = []
    for line in (DATA / "attack_users.tsv").read_text("utf-8").splitlines():
        attack_id, kind, name, *aliases = line.split("\t")
        users.append(TechniqueUser(attack_id, name, kind, aliases))
    return users


USERS: Final = read_users()
IDS: Final = {user.name: user.attack_id for user in reversed(USERS)}


def read_labels() -> Iterator[LabelledName]:
    for line in (DATA / "labelled_names.tsv").read_text("utf-8").splitlines():
        field, name, label = line.split("\t")
        yield LabelledName(field, name, None if label == "-" else IDS.get(label, label))


LABELS: Final = list(read_labels())


@pytest.fixture(scope="module")
def index() -> AttackIndex:
    software = [user for user in USERS if user.kind != "group"]
    groups = [user for user in USERS if user.kind == "group"]
    return AttackIndex(
        pack(
            TechniqueCard(
                attack_id,
                f"attack-pattern--{attack_id}",
                attack_id,
                "enterprise-attack",
                "18.1",
                software=software,
                groups=groups,
            )
            for attack_id in TECHNIQUES
        )
    )


def mapped(index: AttackIndex, label: LabelledName) -> tuple[set[str], set[str]]:
    """The software and groups, and the techniques that count as stated, of a labelled name."""
    family = label.name if label.field == "family" else None
    tags = () if family else (label.name,)
    stated, inherited = statements(index.attack_ids(family, tags), tags)
    assert set(inherited) <= set(TECHNIQUES)
    users = {attack_id for attack_id in stated if attack_id[0] != "T"}
    return users, set(stated) - users


def test_precision_and_recall_on_labelled_names(index: AttackIndex) -> None:
    assert len(LABELS) >= 400
    right = 0
    wrong = []
    missed = []
    for label in LABELS:
        users, techniques = mapped(index, label)
        assert not techniques, label
        if users and users == {label.expected}:
            right += 1
        elif users:
            wrong.append((label, users))
        elif label.expected is not None:
            missed.append(label)
    precision = right / (right + len(wrong))
    recall = right / sum(label.expected is not None for label in LABELS)
    assert precision >= 0.98, wrong
    assert recall >= 0.85, missed


@pytest.mark.parametrize(
    "name", ["play", "royal", "cuba", "proton", "ps1", "epic", "page", "zlib", "Medusa"]
)
def test_shared_and_short_names_stay_ambiguous(index: AttackIndex, name: str) -> None:
    assert index.attack_ids(name, (name, f"malware:{name}")) == ()


def test_a_shared_name_maps_by_the_id_that_a_galaxy_gives(index: AttackIndex) -> None:
    tag = 'misp-galaxy:mitre-malware="MEDUSA - S1220"'
    assert index.attack_ids(None, (tag,)) == ("S1220", *TECHNIQUES)


def test_the_techniques_of_a_group_are_inherited(index: AttackIndex) -> None:
    ids = index.attack_ids(None, ("kimsuky", "T1486"))
    assert statements(ids, ("kimsuky", "T1486")) == (("G0094", "T1486"), ("T1001", "T1059"))


def test_the_list_of_names_is_of_one_form() -> None:
    assert not NAMES.ambiguous & NAMES.declared.keys()
    assert all(normalize_name(name) == name for name in NAMES.declared)
    assert len(NAMES.plain) > 1_000
    assert read_names("# x\n! net\nS0001 longname ?word\n") == (
        {"longname": "S0001"},
        {"longname": "S0001", "word": "S0001"},
        frozenset({"net"}),
    )
