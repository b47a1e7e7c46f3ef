"""SQL: `read` and `write` observables, `relations`; `upkeep` of scores, sources and runs."""
