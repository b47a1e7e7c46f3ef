"""Sightings: what people and sensors report about observables."""
