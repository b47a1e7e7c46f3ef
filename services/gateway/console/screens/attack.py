"""ATT&CK: the matrix of a release, what a release changed, and a technique's card."""

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer
from services.gateway.console.visits import ConsoleVisit, Screen

_DOMAINS: Final = ("enterprise-attack", "mobile-attack", "ics-attack")
_PAGE: Final = 500
_MOST_PAGES: Final = 6
_MOST_IN_LAYER: Final = 1_000
"""Techniques of a layer: more would make too long an address."""
_HEAT: Final = {"added": 4, "renamed": 3, "changed": 2, "revoked": 1, "deprecated": 1}
"""How strongly what a release did to a technique shows."""


async def show_matrix(visit: ConsoleVisit) -> Response:
    """Techniques by tactic; colours say what the present release changed."""
    domain = visit.query("domain") if visit.query("domain") in _DOMAINS else _DOMAINS[0]
    releases, techniques = await asyncio.gather(
        visit.get("mitre", "/v1/releases", domain=domain), _techniques(visit, domain)
    )
    current = next((item for item in releases.items if item["current"]), None)
    return visit.page(
        "attack.html",
        domain=domain,
        domains=_DOMAINS,
        releases=releases,
        current=current,
        techniques=techniques,
        columns=_columns(techniques.items),
        heat=_heat(current),
    )


async def _techniques(visit: ConsoleVisit, domain: str) -> Answer:
    """All techniques of a domain's present release, page by page."""
    items: list[Any] = []
    after: str | None = None
    for _ in range(_MOST_PAGES):
        answer = await visit.get("mitre", "/v1/techniques", domain=domain, limit=_PAGE, after=after)
        if answer.refusal is not None:
            return answer
        items += answer.items
        after = answer.next
        if after is None:
            break
    return Answer({"items": items, "next": after})


def _columns(techniques: list[Any]) -> dict[str, list[Any]]:
    """Techniques without sub-techniques by tactic, in the order in which tactics first appear."""
    columns: dict[str, list[Any]] = {}
    for technique in techniques:
        if technique["parent"] is None:
            for tactic in technique["tactics"]:
                columns.setdefault(tactic, []).append(technique)
    return {
        tactic: sorted(cells, key=lambda cell: cell["name"]) for tactic, cells in columns.items()
    }


def _heat(release: Any) -> dict[str, tuple[str, int]]:
    """By technique, what the release did to it, and how strongly that shows.

    Nothing is new in the first release that is loaded: there is nothing to compare it with.
    """
    heat: dict[str, tuple[str, int]] = {}
    if release is None or not release.get("previous"):
        return heat
    diff = release.get("diff") or {}
    for kind, strength in _HEAT.items():
        for attack_id in diff.get(kind) or ():
            heat.setdefault(attack_id, (kind, strength))
    return heat


async def show_technique(visit: ConsoleVisit) -> Response:
    """A technique's card, its sub-techniques, and what is tagged with it."""
    attack_id = visit.place("attack_id").upper()
    technique, parts = await asyncio.gather(
        visit.get(
            "mitre",
            f"/v1/techniques/{attack_id}",
            domain=visit.query("domain"),
            version=visit.query("version"),
        ),
        visit.get("mitre", "/v1/techniques", parent=attack_id[:5], limit=100),
    )
    if technique.refusal is not None:
        return visit.refused(technique.refusal)
    return visit.page("technique.html", technique=technique.document, parts=parts.items)


async def export_layer(visit: ConsoleVisit) -> Response:
    """A layer for the ATT&CK Navigator, with the colours of the matrix."""
    domain = visit.place("domain")
    releases, techniques = await asyncio.gather(
        visit.get("mitre", "/v1/releases", domain=domain), _techniques(visit, domain)
    )
    if techniques.refusal is not None:
        return visit.refused(techniques.refusal)
    current = next((item for item in releases.items if item["current"]), None)
    heat = _heat(current)
    scored = [f"{attack_id}:{strength * 25}" for attack_id, (_, strength) in heat.items()]
    plain = [technique["attack_id"] for technique in techniques.items]
    answer = await visit.get(
        "mitre",
        f"/v1/releases/{domain}/navigator",
        technique=(scored or plain)[:_MOST_IN_LAYER],
    )
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return Response(
        json.dumps(answer.document),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{_file_name(domain)}-layer.json"'},
    )


def _file_name(domain: str) -> str:
    return domain if domain in _DOMAINS else "attack"


SCREENS: Final = [
    Screen("GET", "/attack", show_matrix),
    Screen("GET", "/attack/techniques/{attack_id}", show_technique),
    Screen("GET", "/attack/layers/{domain}", export_layer),
]
