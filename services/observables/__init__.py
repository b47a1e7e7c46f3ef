"""Observables: what is known about a value, who says so, how sure, since when, and why."""
