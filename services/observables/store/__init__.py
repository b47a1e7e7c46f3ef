"""Store: observables and what sources assert about them, written chunk by chunk."""
