"""The vocabulary of all services: observable types, canonical values, deterministic STIX ids."""

from shared.stix.defang import defang, refang
from shared.stix.exchange import sco, standard_id
from shared.stix.ids import bucket, observable_uuid, stix_id
from shared.stix.observable import canonical_type, detect, normalise
from shared.stix.vocabulary import NotAnObservable, Observable, ObservableType

__all__ = [
    "NotAnObservable",
    "Observable",
    "ObservableType",
    "bucket",
    "canonical_type",
    "defang",
    "detect",
    "normalise",
    "observable_uuid",
    "refang",
    "sco",
    "standard_id",
    "stix_id",
]
