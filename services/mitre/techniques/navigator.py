"""A selection of techniques as a layer for MITRE's ATT&CK Navigator."""

from collections.abc import Mapping
from typing import Any

from packaging.version import Version


def make_layer(
    name: str, domain: str, version: str, scores: Mapping[str, int | None]
) -> dict[str, Any]:
    """The layer as the Navigator reads it (layer format 4.5).

    Args:
        name: shown on the Navigator's tab.
        domain: of the techniques.
        version: of the release that they are from.
        scores: by ATT&CK id, 0 to 100; None selects without a score.
    """
    # The import brings a spreadsheet writer and more, about two seconds: only a process that makes
    # a layer pays for it.
    from mitreattack.navlayers import Gradient, Layer, Technique, Versions  # noqa: PLC0415

    layer = Layer(name=name, domain=domain)
    content = layer.layer
    content.description = f"{len(scores)} techniques of {domain} {version}"
    content.versions = Versions(attack=str(Version(version).major))
    content.gradient = Gradient(colors=["#ffffff", "#ff6666"], minValue=0, maxValue=100)
    techniques = []
    for attack_id, score in scores.items():
        technique = Technique(attack_id)
        technique.enabled = True
        if score is not None:
            technique.score = score
        techniques.append(technique)
    content.techniques = techniques
    result: dict[str, Any] = layer.to_dict()
    return result
