"""Feeds: collects what sources publish and turns it into normalised observables on `feeds.observed.v1`."""
