"""Backfill: stored observables catch up with newer reference data and a newer ATT&CK index."""
