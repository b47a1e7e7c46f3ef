"""Enrichers: what can be said about an observable beyond what its sources say."""
