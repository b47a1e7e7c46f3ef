"""Policies: automatic queries about observables that change."""
